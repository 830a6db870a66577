#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "caffe/caffe.hpp"
#include "caffe/layers/conv_layer.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/onednn.hpp"

namespace caffe {

// Every layer that oneDNN computes is compared with Caffe's own, forward and
// backward, alone and in nets where layouts go from layer to layer.
class OneDNNLayersTest : public CPUDeviceTest<float> {
 protected:
  typedef vector<shared_ptr<Blob<float> > > Blobs;

  OneDNNLayersTest() { Caffe::set_random_seed(1701); }

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
    net.mutable_state()->set_phase(TRAIN);  // BatchNorm's statistics
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

static string Fillers() {
  return " weight_filler { type: 'gaussian' std: 0.3 }"
      " bias_filler { type: 'gaussian' std: 0.5 } ";
}

static string Conv(const string& fields) {
  return "name: 'conv' type: 'Convolution' convolution_param { " + fields +
      Fillers() + " }";
}

// A top blob for the loss that any net ends with.
static string Loss(const string& bottom) {
  return "layer { name: 'fc_end' type: 'InnerProduct' bottom: '" + bottom +
      "' top: 'fc_end' inner_product_param { num_output: 5" +
      Fillers() + "} }"
      "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'fc_end'"
      " bottom: 'target' top: 'loss' }";
}

static string ConvLayer(const string& name, const string& bottom,
                        const string& top, const string& fields) {
  return "layer { name: '" + name + "' type: 'Convolution' bottom: '" +
      bottom + "' top: '" + top + "' convolution_param { " + fields +
      Fillers() + " } }";
}

static string SimpleLayer(const string& type, const string& bottom,
                          const string& top, const string& fields = "") {
  return "layer { name: '" + top + type + "' type: '" + type + "' bottom: '" +
      bottom + "' top: '" + top + "' " + fields + " }";
}

TEST_F(OneDNNLayersTest, ConvolutionShapes) {
  const vector<int> image = {3, 16, 13, 11};
  for (const char* fields : {
           "num_output: 32 kernel_size: 3",
           "num_output: 32 kernel_size: 3 pad: 1 stride: 2",
           "num_output: 7 kernel_size: 5 pad: 2",
           "num_output: 32 kernel_size: 1",
           "num_output: 48 kernel_size: 1 stride: 2",
           "num_output: 32 kernel_size: 3 group: 2",
           "num_output: 16 kernel_size: 3 group: 16 pad: 1",
           "num_output: 10 kernel_size: 3 dilation: 2",
           "num_output: 10 kernel_h: 1 kernel_w: 7 pad_h: 0 pad_w: 3",
           "num_output: 10 kernel_h: 4 kernel_w: 2 stride_h: 3 stride_w: 1",
           "num_output: 20 kernel_size: 3 bias_term: false",
           "num_output: 1 kernel_size: 3"}) {
    Compare(Conv(fields), {image});
  }
}

TEST_F(OneDNNLayersTest, ConvolutionChannelsAndBatches) {
  for (int channels : {1, 3, 5, 16, 17, 33}) {
    for (int num : {1, 2, 5}) {
      Compare(Conv("num_output: 19 kernel_size: 3 pad: 1"),
              {{num, channels, 8, 9}});
    }
  }
  Compare(Conv("num_output: 96 kernel_size: 11 stride: 4"), {{2, 3, 47, 43}});
}

TEST_F(OneDNNLayersTest, ConvolutionChangesItsBatchAndSize) {
  Compare(Conv("num_output: 32 kernel_size: 3"),
          {{4, 16, 9, 9}, {1, 16, 9, 9}, {7, 16, 12, 6}, {4, 16, 9, 9}});
}

TEST_F(OneDNNLayersTest, ConvolutionInOneAndThreeDimensions) {
  Compare(Conv("num_output: 4 kernel_size: 3"), {{2, 3, 9}});
  Compare(Conv("num_output: 4 kernel_size: 2"), {{2, 3, 5, 6, 4}});
  Compare(Conv("num_output: 4 kernel_size: 3 axis: 2"), {{2, 2, 3, 9, 9}});
}

TEST_F(OneDNNLayersTest, Pooling) {
  for (const char* pool : {"MAX", "AVE"}) {
    for (const char* fields : {
             "kernel_size: 3 stride: 2", "kernel_size: 2 stride: 2",
             "kernel_size: 3 stride: 2 pad: 1", "kernel_size: 3 stride: 1",
             "kernel_size: 3 stride: 3 round_mode: FLOOR",
             "kernel_size: 2 stride: 3 round_mode: FLOOR",
             "global_pooling: true",
             "kernel_h: 2 kernel_w: 4 stride_h: 1 stride_w: 3",
             "kernel_size: 5 stride: 4 pad: 2"}) {
      const string text = string("name: 'pool' type: 'Pooling' pooling_param"
                                 " { pool: ") + pool + " " + fields + " }";
      Compare(text, {{2, 16, 13, 13}, {3, 5, 12, 9}, {1, 16, 8, 7}});
    }
  }
}

TEST_F(OneDNNLayersTest, PoolingOfTies) {
  // The first of equal values gets the gradient, as in Caffe's own.
  const string text = Input("x", {2, 16, 9, 9}) + Input("target", {2, 5}) +
      ConvLayer("conv", "x", "y", "num_output: 32 kernel_size: 3") +
      SimpleLayer("ReLU", "y", "y") +
      SimpleLayer("Pooling", "y", "z",
                  "pooling_param { kernel_size: 3 stride: 2 }") + Loss("z");
  CompareNets(text);
}

TEST_F(OneDNNLayersTest, LRN) {
  for (const char* fields : {
           "local_size: 5 alpha: 0.0001 beta: 0.75",
           "local_size: 3 alpha: 0.5 beta: 0.5 k: 2",
           "local_size: 5 alpha: 2 beta: 0.75",
           "local_size: 3 norm_region: WITHIN_CHANNEL"}) {
    const string text =
        string("name: 'norm' type: 'LRN' lrn_param { ") + fields + " }";
    Compare(text, {{2, 16, 5, 6}, {3, 7, 4, 4}, {1, 32, 1, 1}});
  }
}

TEST_F(OneDNNLayersTest, ReLU) {
  for (const char* slope : {"0", "0.1", "-0.5"}) {
    const string text = string("name: 'relu' type: 'ReLU' relu_param"
                               " { negative_slope: ") + slope + " }";
    Compare(text, {{2, 16, 5, 6}, {3, 7}, {1}, {300, 400}});
  }
}

TEST_F(OneDNNLayersTest, InnerProduct) {
  for (const char* fields : {
           "num_output: 10", "num_output: 33 bias_term: false",
           "num_output: 17 transpose: true", "num_output: 1",
           "num_output: 20 axis: 2", "num_output: 300"}) {
    const string text = string("name: 'fc' type: 'InnerProduct'"
        " inner_product_param { ") + fields + Fillers() + " }";
    Compare(text, {{4, 6, 20}, {1, 6, 20}, {64, 6, 20}, {300, 6, 20}});
  }
}

TEST_F(OneDNNLayersTest, BatchNorm) {
  const string text = "name: 'norm' type: 'BatchNorm' batch_norm_param"
      " { eps: 0.001 moving_average_fraction: 0.9 }";
  const vector<vector<int> > shapes = {{4, 16, 5, 6}, {3, 16, 4, 4}};
  Compare(text, shapes);
  Compare(text, {{4, 7, 5, 6}, {2, 7, 9, 1}});
  Compare(text, {{40, 7}});
  Compare(text, {{4, 3, 5}});
  Compare(text, shapes, TEST);
}

TEST_F(OneDNNLayersTest, Scale) {
  const string fillers = " filler { type: 'gaussian' std: 1 }"
      " bias_filler { type: 'gaussian' std: 1 } }";
  for (const char* fields : {
           "", "bias_term: true", "axis: 2", "axis: 1 num_axes: 2",
           "axis: 1 num_axes: -1 bias_term: true", "axis: 0 num_axes: 0"}) {
    const string text =
        string("name: 's' type: 'Scale' scale_param { ") + fields + fillers;
    Compare(text, {{4, 16, 5, 6}, {4, 16, 5, 6}});
    Compare(text, {{2, 7, 9, 37}});
  }
  Compare("name: 's' type: 'Scale' scale_param { bias_term: true" + fillers,
          {{5, 12}});
}

TEST_F(OneDNNLayersTest, LayoutsGoFromLayerToLayer) {
  const string inputs = Input("x", {3, 3, 31, 29}) + Input("target", {3, 5});
  const string first = ConvLayer("conv1", "x", "a",
                                 "num_output: 32 kernel_size: 5 stride: 2");
  const string pool = "pooling_param { kernel_size: 3 stride: 2 }";
  // CaffeNet's order.
  CompareNets(inputs + first + SimpleLayer("ReLU", "a", "a") +
              SimpleLayer("Pooling", "a", "b", pool) +
              SimpleLayer("LRN", "b", "c") +
              ConvLayer("conv2", "c", "d",
                        "num_output: 24 kernel_size: 3 group: 2") +
              SimpleLayer("ReLU", "d", "d") + Loss("d"));
  // Not in place, and a leak.
  const string leak = "relu_param { negative_slope: 0.2 }";
  CompareNets(inputs + first + SimpleLayer("ReLU", "a", "b", leak) +
              SimpleLayer("LRN", "b", "c") + Loss("c"));
  // Batch normalisation in place and not. (A bias before it has a gradient of
  // 0, plus rounding.)
  const string unbiased = ConvLayer(
      "conv1", "x", "a",
      "num_output: 32 kernel_size: 5 stride: 2 bias_term: false");
  const string scale = "scale_param { bias_term: true"
      " filler { type: 'gaussian' std: 1 } }";
  for (const char* top : {"a", "n"}) {
    CompareNets(inputs + unbiased + SimpleLayer("BatchNorm", "a", top) +
                SimpleLayer("Scale", top, top, scale) +
                SimpleLayer("ReLU", top, top) +
                SimpleLayer("Pooling", top, "p", pool) + Loss("p"));
  }
  CompareNets(inputs + unbiased + SimpleLayer("BatchNorm", "a", "n") +
              SimpleLayer("Scale", "n", "s", scale) +
              SimpleLayer("ReLU", "s", "r") +
              SimpleLayer("Pooling", "r", "p", pool) + Loss("p"));
}

// BatchNorm, Scale and ReLU leave their work to each other
// (onednn_pending.hpp).
TEST_F(OneDNNLayersTest, ScalesAndReLUsInOnePass) {
  const string inputs = Input("x", {3, 3, 11, 9}) + Input("target", {3, 5});
  const string scale = "scale_param { bias_term: true"
      " filler { type: 'uniform' min: 0.5 max: 1.5 }"
      " bias_filler { type: 'gaussian' std: 1 } }";
  const string norm = SimpleLayer("BatchNorm", "a", "a");
  const string norm_scale = norm + SimpleLayer("Scale", "a", "a", scale);
  const string leak = SimpleLayer("ReLU", "a", "a",
                                  "relu_param { negative_slope: 0.2 }");
  const string relu = SimpleLayer("ReLU", "a", "a");
  // Gradients come in blocks, or in Caffe's own layout.
  const string blocks = ConvLayer("conv2", "a", "c",
                                  "num_output: 16 kernel_size: 3") + Loss("c");
  const string ends[] = {blocks, Loss("a")};
  for (const char* channels : {"32", "20"}) {
    const string net = inputs + ConvLayer(
        // A bias before BatchNorm has a gradient of 0, plus rounding.
        "conv1", "x", "a", string("bias_term: false kernel_size: 3"
                                  " num_output: ") + channels);
    for (const string& end : ends) {
      CompareNets(net + norm + relu + end);
      CompareNets(net + norm_scale + end);
      CompareNets(net + norm_scale + leak + end);
      CompareNets(net + SimpleLayer("Scale", "a", "a", scale) + relu + end);
      CompareNets(net + norm_scale + leak + norm_scale + relu + end);
      CompareNets(net + norm_scale + SimpleLayer("TanH", "a", "a") + relu +
                  end);
      CompareNets(net + SimpleLayer("BatchNorm", "a", "a",
                  "batch_norm_param { use_global_stats: true eps: 0.1 }") +
                  SimpleLayer("Scale", "a", "a", scale) + relu + end);
    }
    CompareNets(net + norm_scale + SimpleLayer("ReLU", "a", "r") + Loss("r"));
    // Two readers of what BatchNorm has left, and two Scales in a row.
    CompareNets(net + norm + SimpleLayer("Scale", "a", "s", scale) +
                SimpleLayer("Scale", "s", "t", scale) +
                "layer { name: 'sum' type: 'Eltwise' bottom: 'a' bottom: 't'"
                " top: 'c' }" + Loss("c"));
    // Two readers of the same memory, the second of which writes into it.
    for (const char* type : {"BatchNorm", "Scale"}) {
      CompareForward(net + "layer { name: 'split' type: 'Split' bottom: 'a'"
                     " top: 'b' top: 'd' }" + SimpleLayer(type, "b", "s") +
                     SimpleLayer("ReLU", "d", "d") +
                     "layer { name: 'sum' type: 'Eltwise' bottom: 's'"
                     " bottom: 'd' top: 'c' }" + Loss("c"));
    }
  }
}

// A gradient that no layer has taken, since none further down learns, is that
// of its own backward pass, after another forward pass, too.
TEST_F(OneDNNLayersTest, GradientOutlivesTheNextForwardPass) {
  const string still = "param { lr_mult: 0 } ";
  string conv = ConvLayer("conv1", "x", "a", "num_output: 32 kernel_size: 3");
  conv.insert(conv.size() - 1, still + still);
  const string text = Input("x", {3, 3, 11, 9}) + Input("target", {3, 5}) +
      conv + SimpleLayer("BatchNorm", "a", "a", still + still + still) +
      SimpleLayer("Scale", "a", "a", "scale_param { filler { value: 2 } }") +
      SimpleLayer("ReLU", "a", "a") +
      ConvLayer("conv2", "a", "c", "num_output: 16 kernel_size: 3") + Loss("c");
  NetParameter own_param = Parse(text, "CAFFE"), param = Parse(text, "ONEDNN");
  own_param.set_force_backward(false);
  param.set_force_backward(false);
  Net<float> own(own_param), net(param);
  CopyWeights(own, &net);
  for (int pass = 0; pass < 2; ++pass) {
    for (int i = 0; i < own.num_inputs(); ++i) {
      Fill(own.input_blobs()[i], false);
    }
    CopyInputs(&own, &net);
    for (Net<float>* each : {&own, &net}) {
      each->Forward();
      if (pass == 0) { each->Backward(); }
    }
  }
  const Blob<float>& expected = *own.blob_by_name("a");
  ExpectSame(expected, *net.blob_by_name("a"), "a");
  EXPECT_GT(expected.asum_diff(), 0);
}

TEST_F(OneDNNLayersTest, LayersThatKnowNoLayoutsLieBetween) {
  const string inputs = Input("x", {3, 3, 15, 17}) + Input("target", {3, 5});
  const string first = ConvLayer("conv1", "x", "a",
                                 "num_output: 32 kernel_size: 3 pad: 1");
  const string second = ConvLayer("conv2", "b", "c",
                                  "num_output: 16 kernel_size: 3");
  for (const char* type : {"TanH", "Sigmoid", "Power"}) {
    CompareNets(inputs + first + SimpleLayer(type, "a", "b") + second +
                Loss("c"));
  }
  CompareNets(inputs + first + SimpleLayer("Power", "a", "a") +
              SimpleLayer("ReLU", "a", "b") + second + Loss("c"));
  // The same values in another shape.
  CompareNets(inputs + first + SimpleLayer("Flatten", "a", "b") + Loss("b"));
  CompareNets(inputs + first +
              SimpleLayer("Reshape", "a", "b", "reshape_param { shape {"
                          " dim: 0 dim: 16 dim: 30 dim: 17 } }") +
              second + Loss("c"));
  // Two readers, one of which adds up gradients.
  CompareNets(inputs + first +
              ConvLayer("conv2", "a", "b", "num_output: 32 kernel_size: 1") +
              "layer { name: 'sum' type: 'Eltwise' bottom: 'a' bottom: 'b'"
              " top: 'c' }"
              "layer { name: 'cat' type: 'Concat' bottom: 'a' bottom: 'c'"
              " top: 'd' }" + Loss("d"));
}

TEST_F(OneDNNLayersTest, SharedWeights) {
  const string inputs = Input("x", {3, 4, 9, 9}) + Input("target", {3, 5});
  string text = inputs;
  const char* names[] = {"x", "a", "b"};
  for (int i = 0; i < 2; ++i) {
    string layer = ConvLayer(string("conv") + names[i], names[i], names[i + 1],
                             "num_output: 4 kernel_size: 3 pad: 1");
    layer.insert(layer.size() - 1, "param { name: 'w' } param { name: 'b' } ");
    text += layer;
  }
  for (int i = 0; i < 2; ++i) {
    text += "layer { name: 'fc" + string(names[i]) + "' type: 'InnerProduct'"
        " bottom: '" + (i ? "f" : "b") + "' top: '" + (i ? "g" : "f") +
        "' param { name: 'v" + (i ? "2" : "1") + "' }"
        " inner_product_param { num_output: 30 " + Fillers() + "} }";
  }
  CompareNets(text + Loss("g"));
}

TEST_F(OneDNNLayersTest, NotANumberStaysOne) {
  const string text = Input("x", {2, 3, 19, 19}) + Input("target", {2, 5}) +
      ConvLayer("conv", "x", "a", "num_output: 16 kernel_size: 3") +
      SimpleLayer("ReLU", "a", "a") +
      SimpleLayer("Pooling", "a", "p", "pooling_param { kernel_size: 2 }") +
      "layer { name: 'fc' type: 'InnerProduct' bottom: 'p' top: 'f'"
      " inner_product_param { num_output: 8 " + Fillers() + "} }" +
      SimpleLayer("ReLU", "f", "f") + Loss("f");
  Net<float> net(Parse(text, "ONEDNN"));
  Fill(net.input_blobs()[0], false);
  Fill(net.input_blobs()[1], false);
  float loss;
  net.Forward(&loss);
  EXPECT_FALSE(std::isnan(loss));
  for (Blob<float>* blob : {net.input_blobs()[0], net.learnable_params()[0],
                            net.learnable_params()[2]}) {
    const float value = blob->cpu_data()[40];
    blob->mutable_cpu_data()[40] = std::numeric_limits<float>::quiet_NaN();
    net.Forward(&loss);
    EXPECT_TRUE(std::isnan(loss)) << blob->shape_string();
    blob->mutable_cpu_data()[40] = value;
  }
}

// A solver's steps, with gradients of several passes added up, come to the
// same weights, and a snapshot of one engine goes on with the other.
TEST_F(OneDNNLayersTest, SolversStep) {
  const string text = Input("x", {4, 3, 12, 12}) + Input("target", {4, 5}) +
      ConvLayer("conv", "x", "a", "num_output: 16 kernel_size: 3") +
      SimpleLayer("ReLU", "a", "a") + Loss("a");
  for (int iter_size : {1, 2}) {
    vector<shared_ptr<Solver<float> > > solvers;
    for (const char* engine : {"CAFFE", "ONEDNN"}) {
      SolverParameter param;
      param.mutable_net_param()->CopyFrom(Parse(text, engine));
      param.set_base_lr(1e-4);
      param.set_lr_policy("fixed");
      param.set_momentum(0.9);
      param.set_weight_decay(0.01);
      param.set_iter_size(iter_size);
      param.set_display(0);
      param.set_type("SGD");
      solvers.push_back(shared_ptr<Solver<float> >(
          SolverRegistry<float>::CreateSolver(param)));
    }
    Net<float>* own = solvers[0]->net().get();
    Net<float>* net = solvers[1]->net().get();
    CopyWeights(*own, net);
    Fill(own->input_blobs()[0], false);
    Fill(own->input_blobs()[1], false);
    CopyInputs(own, net);
    solvers[0]->Step(5);
    solvers[1]->Step(5);
    for (int i = 0; i < own->params().size(); ++i) {
      ExpectNear(own->params()[i]->count(), own->params()[i]->cpu_data(),
                 net->params()[i]->cpu_data(), "weights");
    }
    NetParameter snapshot;
    net->ToProto(&snapshot);
    own->CopyTrainedLayersFrom(snapshot);
    own->Forward();
    net->Forward();
    ExpectSame(*own->blob_by_name("fc_end"), *net->blob_by_name("fc_end"),
               "after the snapshot");
  }
}

TEST_F(OneDNNLayersTest, SameBitsEveryTime) {
  const string text = Input("x", {4, 3, 31, 31}) + Input("target", {4, 5}) +
      ConvLayer("conv", "x", "a", "num_output: 32 kernel_size: 5") +
      SimpleLayer("ReLU", "a", "a") + SimpleLayer("LRN", "a", "b") +
      Loss("b");
  Net<float> net(Parse(text, "ONEDNN"));
  Fill(net.input_blobs()[0], false);
  Fill(net.input_blobs()[1], false);
  vector<vector<float> > gradients;
  for (int pass = 0; pass < 3; ++pass) {
    net.ClearParamDiffs();
    net.Forward();
    net.Backward();
    gradients.push_back(vector<float>());
    for (int i = 0; i < net.params().size(); ++i) {
      const Blob<float>& param = *net.params()[i];
      gradients[pass].insert(gradients[pass].end(), param.cpu_diff(),
                             param.cpu_diff() + param.count());
    }
    EXPECT_TRUE(gradients[pass] == gradients[0]);
  }
}

TEST_F(OneDNNLayersTest, WhoKeepsAPointerSeesWhatIsNew) {
  const string text = Input("x", {2, 3, 9, 9}) + Input("target", {2, 5}) +
      ConvLayer("conv", "x", "a", "num_output: 16 kernel_size: 3") +
      SimpleLayer("ReLU", "a", "a") + Loss("a");
  Net<float> net(Parse(text, "ONEDNN"));
  Fill(net.input_blobs()[0], false);
  Fill(net.input_blobs()[1], false);
  Blob<float>* blob = net.blob_by_name("a").get();
  blob->data()->set_exposed();
  net.learnable_params()[0]->diff()->set_exposed();
  const float* kept = blob->cpu_data();
  const float* diff = net.learnable_params()[0]->cpu_diff();
  net.Forward();
  net.Backward();
  vector<float> values(kept, kept + blob->count());
  ExpectNear(blob->count(), blob->cpu_data(), values.data(), "kept");
  EXPECT_GT(*std::max_element(values.begin(), values.end()), 0);
  EXPECT_NE(0, diff[0]);
  net.ClearParamDiffs();
  EXPECT_EQ(0, diff[0]);
  Fill(net.input_blobs()[0], false);
  net.Forward();
  EXPECT_FALSE(std::equal(values.begin(), values.end(), kept));
}

// Factors are rounded to 8 bits of precision, sums are not.
TEST_F(OneDNNLayersTest, Bfloat16IsNearFloat) {
  const string text = Input("x", {8, 3, 31, 31}) + Input("target", {8, 5}) +
      ConvLayer("conv1", "x", "a", "num_output: 32 kernel_size: 5") +
      SimpleLayer("ReLU", "a", "a") +
      ConvLayer("conv2", "a", "b", "num_output: 16 kernel_size: 3 group: 2") +
      SimpleLayer("ReLU", "b", "b") +
      "layer { name: 'fc' type: 'InnerProduct' bottom: 'b' top: 'f'"
      " inner_product_param { num_output: 30 transpose: true" +
      Fillers() + "} }" + Loss("f");
  const int64_t kBfloat16 =
      static_cast<int>(dnnl::cpu_isa::avx512_core_bf16);
  const bool supported = (static_cast<int>(dnnl::get_effective_cpu_isa()) &
                          kBfloat16) == kBfloat16;
  Net<float> exact(Parse(text, "ONEDNN")),
      rounded(Parse("bfloat16: true " + text, "ONEDNN"));
  CopyWeights(exact, &rounded);
  for (int pass = 0; pass < 2; ++pass) {
    Fill(exact.input_blobs()[0], false);
    Fill(exact.input_blobs()[1], false);
    CopyInputs(&exact, &rounded);
    for (Net<float>* net : {&exact, &rounded}) {
      // The second pass adds to the first one's gradients.
      if (pass == 0) { net->ClearParamDiffs(); }
      net->Forward();
      net->Backward();
    }
    const Blob<float>& top = *exact.blob_by_name("fc_end");
    const float error = RelativeError(
        top.count(), top.cpu_data(),
        rounded.blob_by_name("fc_end")->cpu_data());
    EXPECT_LT(error, 0.01);
    EXPECT_EQ(supported, error > 0);
    for (int i = 0; i < exact.learnable_params().size(); ++i) {
      const Blob<float>& param = *exact.learnable_params()[i];
      // Signs that rounding changes let other gradients through.
      EXPECT_LT(RelativeError(param.count(), param.cpu_diff(),
                              rounded.learnable_params()[i]->cpu_diff()), 0.1)
          << "parameter " << i;
    }
  }
}

TEST_F(OneDNNLayersTest, WeightsThatChangeBetweenPassesAreSeen) {
  const string text = "state { phase: TEST } " + Input("x", {2, 16, 9, 9}) +
      Input("target", {2, 5}) +
      ConvLayer("conv", "x", "a", "num_output: 16 kernel_size: 3") + Loss("a");
  Net<float> own(Parse(text, "CAFFE")), net(Parse(text, "ONEDNN")),
      other(Parse(text, "ONEDNN"));
  CopyWeights(own, &net);
  Fill(own.input_blobs()[0], false);
  Fill(own.input_blobs()[1], false);
  CopyInputs(&own, &net);
  own.Forward();
  net.Forward();
  ExpectSameNets(own, net);
  // By a call.
  Fill(own.learnable_params()[0], false);
  CopyWeights(own, &net);
  own.Forward();
  net.Forward();
  ExpectSameNets(own, net);
  // By taking those of another net, in memory or as a caffemodel.
  CopyWeights(other, &own);
  net.ShareTrainedLayersWith(&other);
  own.Forward();
  net.Forward();
  ExpectSameNets(own, net);
  NetParameter snapshot;
  Net<float>(Parse(text, "CAFFE")).ToProto(&snapshot);
  own.CopyTrainedLayersFrom(snapshot);
  net.CopyTrainedLayersFrom(snapshot);
  own.Forward();
  net.Forward();
  ExpectSameNets(own, net);
  // Through a pointer that somebody keeps.
  net.learnable_params()[0]->data()->set_exposed();
  float* kept = net.learnable_params()[0]->mutable_cpu_data();
  net.Forward();
  kept[5] += 3;
  own.learnable_params()[0]->mutable_cpu_data()[5] += 3;
  own.Forward();
  net.Forward();
  ExpectSameNets(own, net);
}

TEST_F(OneDNNLayersTest, DoubleHasCaffesOwnLayers) {
  const LayerParameter param =
      Layer(Conv("num_output: 2 kernel_size: 1"), "ONEDNN");
  shared_ptr<caffe::Layer<double> > layer =
      LayerRegistry<double>::CreateLayer(param);
  EXPECT_TRUE(dynamic_cast<ConvolutionLayer<double>*>(layer.get()));
}

}  // namespace caffe
