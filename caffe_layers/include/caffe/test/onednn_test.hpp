#ifndef CAFFE_TEST_ONEDNN_TEST_HPP_
#define CAFFE_TEST_ONEDNN_TEST_HPP_

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "caffe/caffe.hpp"
#include "caffe/test/test_caffe_main.hpp"

namespace caffe {

/// Compares layers and nets of oneDNN's engine with Caffe's own.
class OneDNNTest : public CPUDeviceTest<float> {
 protected:
  typedef vector<shared_ptr<Blob<float> > > Blobs;

  OneDNNTest() { Caffe::set_random_seed(1701); }

  // Sets the engine where the layer has one.
  static void SetEngine(const string& engine, LayerParameter* layer) {
    static const std::map<string, string> names = {
        {"BatchNorm", "batch_norm_param"},
        {"Convolution", "convolution_param"},
        {"InnerProduct", "inner_product_param"},
        {"LRN", "lrn_param"},
        {"Pooling", "pooling_param"},
        {"ReLU", "relu_param"},
        {"Scale", "scale_param"}};
    if (!names.count(layer->type())) { return; }
    const google::protobuf::Reflection* reflection = layer->GetReflection();
    google::protobuf::Message* param = reflection->MutableMessage(
        layer, layer->GetDescriptor()->FindFieldByName(
            names.at(layer->type())));
    const google::protobuf::FieldDescriptor* field =
        param->GetDescriptor()->FindFieldByName("engine");
    param->GetReflection()->SetEnum(
        param, field, field->enum_type()->FindValueByName(engine));
  }

  static LayerParameter Layer(const string& text, const string& engine) {
    LayerParameter layer;
    CHECK(google::protobuf::TextFormat::ParseFromString(text, &layer));
    SetEngine(engine, &layer);
    return layer;
  }

  static NetParameter Parse(const string& text, const string& engine) {
    NetParameter net;
    CHECK(google::protobuf::TextFormat::ParseFromString(text, &net));
    for (int i = 0; i < net.layer_size(); ++i) {
      SetEngine(engine, net.mutable_layer(i));
    }
    net.set_force_backward(true);
    if (!net.state().has_phase()) {
      net.mutable_state()->set_phase(TRAIN);  // BatchNorm's statistics
    }
    return net;
  }

  static void Fill(Blob<float>* blob, bool diff) {
    caffe_rng_gaussian<float>(blob->count(), 0, 1,
        diff ? blob->mutable_cpu_diff() : blob->mutable_cpu_data());
  }

  // To 1e-4 of the largest value.
  static void ExpectNear(int count, const float* expected, const float* actual,
                         const string& what) {
    float largest = 1e-5;
    for (int i = 0; i < count; ++i) {
      largest = std::max(largest, std::abs(expected[i]));
    }
    for (int i = 0; i < count; ++i) {
      ASSERT_NEAR(expected[i], actual[i], 1e-4 * largest)
          << what << ", value " << i << " of " << count;
    }
  }

  static float RelativeError(int count, const float* expected,
                             const float* actual) {
    vector<float> error(count);
    caffe_sub(count, expected, actual, error.data());
    return std::sqrt(caffe_cpu_dot(count, error.data(), error.data()) /
                     caffe_cpu_dot(count, expected, expected));
  }

  static void ExpectSame(const Blob<float>& expected,
                         const Blob<float>& actual, const string& what) {
    ASSERT_EQ(expected.shape(), actual.shape()) << what;
    ExpectNear(expected.count(), expected.cpu_data(), actual.cpu_data(),
               what + " data");
    ExpectNear(expected.count(), expected.cpu_diff(), actual.cpu_diff(),
               what + " diff");
  }

  // The layer with both engines on inputs of these shapes, one after the
  // other; gradients add up.
  void Compare(const string& text, const vector<vector<int> >& shapes,
               Phase phase = TRAIN, bool gradient = true) {
    SCOPED_TRACE(text);
    LayerParameter own_param = Layer(text, "CAFFE");
    LayerParameter param = Layer(text, "ONEDNN");
    own_param.set_phase(phase);
    param.set_phase(phase);
    shared_ptr<caffe::Layer<float> > own =
        LayerRegistry<float>::CreateLayer(own_param);
    shared_ptr<caffe::Layer<float> > layer =
        LayerRegistry<float>::CreateLayer(param);
    Blob<float> own_bottom(shapes[0]), own_top, bottom(shapes[0]), top;
    const vector<Blob<float>*> own_bottoms(1, &own_bottom),
        own_tops(1, &own_top), bottoms(1, &bottom), tops(1, &top);
    own->SetUp(own_bottoms, own_tops);
    layer->SetUp(bottoms, tops);
    ASSERT_EQ(own->blobs().size(), layer->blobs().size());
    for (int i = 0; i < own->blobs().size(); ++i) {
      layer->blobs()[i]->CopyFrom(*own->blobs()[i]);
    }
    const vector<bool> propagate_down(1, true);
    for (int s = 0; s < shapes.size(); ++s) {
      own_bottom.Reshape(shapes[s]);
      bottom.Reshape(shapes[s]);
      Fill(&own_bottom, false);
      bottom.CopyFrom(own_bottom);
      own->Forward(own_bottoms, own_tops);
      layer->Forward(bottoms, tops);
      if (gradient) {
        Fill(&own_top, true);
        caffe_copy(top.count(), own_top.cpu_diff(), top.mutable_cpu_diff());
        own->Backward(own_tops, propagate_down, own_bottoms);
        layer->Backward(tops, propagate_down, bottoms);
        ExpectSame(own_bottom, bottom, "bottom");
        for (int i = 0; i < own->blobs().size(); ++i) {
          ExpectSame(*own->blobs()[i], *layer->blobs()[i], "parameter");
        }
      }
      ExpectSame(own_top, top, "top");
    }
  }

  static void CopyInputs(Net<float>* from, Net<float>* to) {
    for (int i = 0; i < from->num_inputs(); ++i) {
      to->input_blobs()[i]->CopyFrom(*from->input_blobs()[i]);
    }
  }

  static void CopyWeights(const Net<float>& from, Net<float>* to) {
    for (int i = 0; i < from.params().size(); ++i) {
      to->params()[i]->CopyFrom(*from.params()[i]);
    }
  }

  static void ExpectSameNets(const Net<float>& own, const Net<float>& net) {
    for (int i = 0; i < own.blobs().size(); ++i) {
      ExpectSame(*own.blobs()[i], *net.blobs()[i], own.blob_names()[i]);
    }
    for (int i = 0; i < own.learnable_params().size(); ++i) {
      ExpectSame(*own.learnable_params()[i], *net.learnable_params()[i],
                 "parameter");
    }
  }

  // Layer by layer, with somebody who looks at all blobs after each.
  static void StepAndLook(Net<float>* net) {
    for (int i = 0; i < net->layers().size(); ++i) {
      net->ForwardFromTo(i, i);
      for (const shared_ptr<Blob<float> >& blob : net->blobs()) {
        blob->cpu_data();
      }
    }
    for (int i = net->layers().size() - 1; i >= 0; --i) {
      net->BackwardFromTo(i, i);
      for (const shared_ptr<Blob<float> >& blob : net->blobs()) {
        blob->cpu_diff();
      }
    }
  }

  // Whole nets, several times, so that what is kept from one pass to the next
  // is used; in the third somebody takes all blobs to write into them before
  // the backward pass, in the fourth somebody looks all the time.
  void CompareNets(const string& text) {
    SCOPED_TRACE(text);
    Net<float> own(Parse(text, "CAFFE")), net(Parse(text, "ONEDNN"));
    CopyWeights(own, &net);
    for (int pass = 0; pass < 4; ++pass) {
      for (int i = 0; i < own.num_inputs(); ++i) {
        Fill(own.input_blobs()[i], false);
      }
      CopyInputs(&own, &net);
      own.ClearParamDiffs();
      net.ClearParamDiffs();
      if (pass == 3) {
        StepAndLook(&own);
        StepAndLook(&net);
        ExpectSameNets(own, net);
        continue;
      }
      own.Forward();
      net.Forward();
      for (int i = 0; pass == 2 && i < net.blobs().size(); ++i) {
        net.blobs()[i]->mutable_cpu_data();
      }
      own.Backward();
      net.Backward();
      ExpectSameNets(own, net);
    }
  }

  void CompareForward(const string& text) {
    Net<float> own(Parse(text, "CAFFE")), net(Parse(text, "ONEDNN"));
    CopyWeights(own, &net);
    for (int i = 0; i < own.num_inputs(); ++i) {
      Fill(own.input_blobs()[i], false);
    }
    CopyInputs(&own, &net);
    own.Forward();
    net.Forward();
    for (int i = 0; i < own.blobs().size(); ++i) {
      ExpectSame(*own.blobs()[i], *net.blobs()[i], own.blob_names()[i]);
    }
  }

  static string Input(const string& name, const vector<int>& shape) {
    std::ostringstream text;
    text << "layer { name: '" << name << "' type: 'Input' top: '" << name
         << "' input_param { shape {";
    for (int i = 0; i < shape.size(); ++i) { text << " dim: " << shape[i]; }
    text << " } } } ";
    return text.str();
  }
};

inline string Fillers() {
  return " weight_filler { type: 'gaussian' std: 0.3 }"
      " bias_filler { type: 'gaussian' std: 0.5 } ";
}

inline string Conv(const string& fields) {
  return "name: 'conv' type: 'Convolution' convolution_param { " + fields +
      Fillers() + " }";
}

// A top blob for the loss that any net ends with.
inline string Loss(const string& bottom) {
  return "layer { name: 'fc_end' type: 'InnerProduct' bottom: '" + bottom +
      "' top: 'fc_end' inner_product_param { num_output: 5" +
      Fillers() + "} }"
      "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'fc_end'"
      " bottom: 'target' top: 'loss' }";
}

inline string ConvLayer(const string& name, const string& bottom,
                        const string& top, const string& fields) {
  return "layer { name: '" + name + "' type: 'Convolution' bottom: '" +
      bottom + "' top: '" + top + "' convolution_param { " + fields +
      Fillers() + " } }";
}

inline string SimpleLayer(const string& type, const string& bottom,
                          const string& top, const string& fields = "") {
  return "layer { name: '" + top + type + "' type: '" + type + "' bottom: '" +
      bottom + "' top: '" + top + "' " + fields + " }";
}

}  // namespace caffe

#endif  // CAFFE_TEST_ONEDNN_TEST_HPP_
