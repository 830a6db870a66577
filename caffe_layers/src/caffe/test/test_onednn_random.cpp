// Random layers and nets of oneDNN's engine beside Caffe's own, from seeds.

#include <omp.h>

#include <algorithm>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "caffe/test/onednn_test.hpp"

namespace caffe {

class OneDNNRandomTest : public OneDNNTest {
 protected:
  OneDNNRandomTest() : threads_(omp_get_max_threads()) {}
  virtual ~OneDNNRandomTest() { omp_set_num_threads(threads_); }

  // One of [from, to].
  int Draw(int from, int to) {
    return from + random_() % (to - from + 1);
  }
  template <typename T>
  T One(const vector<T>& of) { return of[Draw(0, of.size() - 1)]; }
  bool Half() { return Draw(0, 1); }

  string RandomLayer() {
    std::ostringstream text;
    const string type = One<string>({"Convolution", "Pooling", "LRN", "ReLU",
                                     "BatchNorm", "Scale", "InnerProduct"});
    text << "name: 'l' type: '" << type << "' ";
    const int kernel = Draw(1, 4), stride = Draw(1, kernel);
    if (type == "Convolution") {
      text << "convolution_param { num_output: "
          << One<int>({1, 2, 7, 8, 16, 19, 32}) << " kernel_h: " << kernel
          << " kernel_w: " << Draw(1, 4) << " stride: " << Draw(1, 3)
          << " pad: " << Draw(0, 2) << " bias_term: " << Half() << Fillers()
          << "}";
    } else if (type == "Pooling") {
      text << "pooling_param { pool: " << (Half() ? "MAX" : "AVE")
          << " kernel_size: " << kernel << " stride: " << stride << " pad: "
          << Draw(0, kernel - 1) << " }";
    } else if (type == "LRN") {
      text << "lrn_param { local_size: " << One<int>({1, 3, 5})
          << " alpha: 0.5 beta: 0.75 }";
    } else if (type == "ReLU") {
      text << "relu_param { negative_slope: " << One<float>({0, 0.1f}) << " }";
    } else if (type == "Scale") {
      text << "scale_param { bias_term: " << Half()
          << " filler { type: 'gaussian' std: 1 } }";
    } else if (type == "InnerProduct") {
      text << "inner_product_param { num_output: " << Draw(1, 40)
          << " transpose: " << Half() << Fillers() << "}";
    }
    return text.str();
  }

  // A net of convolutions and what lies between them; only layers that Caffe
  // itself can compute in place are so.
  string RandomNet() {
    std::ostringstream net;
    net << Input("x", {Draw(2, 4), Draw(1, 4), Draw(11, 15), Draw(11, 15)});
    const int parts = Draw(2, 4);
    string blob = "x";
    for (int part = 0; part < parts; ++part) {
      std::ostringstream name;
      name << "b" << part;
      // What is left of the image after two parts stays.
      blob = RandomPart(blob, name.str(), part < 2, &net);
    }
    // As many rows as x has.
    const string text = net.str();
    const int rows = text[text.find("dim: ") + 5] - '0';
    return Input("target", {rows, 5}) + text + Loss(blob);
  }

  // Convolution, batch normalisation and what else.
  string RandomPart(const string& bottom, const string& name, bool shrinks,
                    std::ostringstream* net) {
    const bool normal = Half();
    // A bias before batch normalisation has a gradient of 0, plus rounding.
    std::ostringstream conv;
    conv << "num_output: " << One<int>({1, 3, 8, 16, 20}) << " kernel_size: 3"
        << " pad: " << (shrinks ? Draw(0, 1) : 1) << " bias_term: " << !normal;
    *net << ConvLayer(name, bottom, name, conv.str());
    string blob = name;
    if (normal) {
      blob = Next("BatchNorm", blob, "", Half(), net);
      if (Half()) {
        blob = Next("Scale", blob, "scale_param { bias_term: true"
                    " filler { type: 'uniform' min: 0.5 max: 1.5 }"
                    " bias_filler { type: 'gaussian' std: 1 } }", Half(), net);
      }
    }
    // Caffe's ReLU, TanH and LRN ask for their top blobs as they left them.
    switch (Draw(0, 3)) {
    case 0:
      blob = Next("TanH", blob, "", false, net);
      break;
    case 1:
      blob = Next("LRN", blob, "", false, net);
      break;
    default:
      blob = Next("ReLU", blob, Half() ? "" :
                  "relu_param { negative_slope: 0.2 }", Half(), net);
    }
    if (Half()) {
      *net << ConvLayer(name + "side", blob, name + "side",
                        "num_output: 8 kernel_size: 1")
          << ConvLayer(name + "main", blob, name + "main",
                       "num_output: 8 kernel_size: 3 pad: 1")
          << "layer { name: '" << name << "sum' type: 'Eltwise' bottom: '"
          << name << "side' bottom: '" << name << "main' top: '" << name
          << "sum' } ";
      blob = Next("ReLU", name + "sum", "", Half(), net);
    }
    if (shrinks && Half()) {
      blob = Next("Pooling", blob, string("pooling_param { kernel_size: 3"
                  " stride: 2 pool: ") + (Half() ? "MAX }" : "AVE }"), false,
                  net);
    }
    return blob;
  }

  static string Next(const string& type, const string& bottom,
                     const string& fields, bool in_place,
                     std::ostringstream* net) {
    const string top = in_place ? bottom : bottom + type[0];
    *net << SimpleLayer(type, bottom, top, fields);
    return top;
  }

  // Passes over parts of the net, as somebody may call for them.
  void CompareParts(const string& text) {
    SCOPED_TRACE(text);
    Net<float> own(Parse(text, "CAFFE")), net(Parse(text, "ONEDNN"));
    CopyWeights(own, &net);
    const int last = own.layers().size() - 1;
    for (int pass = 0; pass < 5; ++pass) {
      SCOPED_TRACE(pass);
      if (pass == 0 || Half()) {
        for (int i = 0; i < own.num_inputs(); ++i) {
          Fill(own.input_blobs()[i], false);
        }
        CopyInputs(&own, &net);
      }
      // The first passes begin at the inputs and end at the loss.
      int start = pass == 0 ? 0 : Draw(0, last);
      int middle = pass < 3 ? last : Draw(start, last);
      const int end = pass < 2 ? 0 : Draw(0, last);
      // Caffe's Scale in place loses its input in the backward pass, and LRN
      // takes some of its last input and some of a newer one.
      for (int i = end; i <= last; ++i) {
        const string type = own.layers()[i]->type();
        const bool in_place = own.bottom_vecs()[i] == own.top_vecs()[i];
        if (type == "LRN" || (type == "Scale" && in_place)) {
          start = std::min(start, i);
          middle = std::max(middle, i);
        }
      }
      const int looked_at = Draw(0, own.blobs().size() - 1);
      const bool looks = Half();
      std::ostringstream parts;
      parts << "forward " << start << " to " << middle << ", backward to "
          << end << (looks ? ", looks at " + own.blob_names()[looked_at] : "");
      SCOPED_TRACE(parts.str());
      for (Net<float>* each : {&own, &net}) {
        each->ClearParamDiffs();
        each->ForwardFromTo(start, middle);
        if (looks) { each->blobs()[looked_at]->mutable_cpu_data(); }
        each->BackwardFromTo(last, end);
      }
      ExpectSameNets(own, net);
    }
  }

  const int threads_;
  std::mt19937 random_;
};

TEST_F(OneDNNRandomTest, Layers) {
  for (int threads : {1, 7, 64}) {
    omp_set_num_threads(threads);
    for (int seed = 0; seed < 25 && !HasFatalFailure(); ++seed) {
      random_.seed(1000 * threads + seed);
      const string text = RandomLayer();
      // (Of one image Caffe's Scale does not add up gradients.)
      const vector<int> shape = {Draw(2, 5), Draw(1, 34), Draw(4, 12),
                                 Draw(4, 12)};
      const vector<int> other = {Draw(2, 5), shape[1], shape[2], shape[3]};
      Compare(text, {shape, other, shape});
    }
  }
}

TEST_F(OneDNNRandomTest, NetsInParts) {
  for (int seed = 0; seed < 12 && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE(seed);
    random_.seed(seed);
    CompareParts(RandomNet());
  }
}

}  // namespace caffe
