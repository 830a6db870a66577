#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "caffe/sgd_solvers.hpp"
#include "caffe/test/onednn_test.hpp"
#include "caffe/util/onednn_blobs.hpp"

namespace caffe {

// Nets, in which layouts go from layer to layer, and their training.
class OneDNNNetsTest : public OneDNNTest {};

TEST_F(OneDNNNetsTest, LayoutsGoFromLayerToLayer) {
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
// (channel_fusion.hpp).
TEST_F(OneDNNNetsTest, ScalesAndReLUsInOnePass) {
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
TEST_F(OneDNNNetsTest, GradientOutlivesTheNextForwardPass) {
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

TEST_F(OneDNNNetsTest, LayersThatKnowNoLayoutsLieBetween) {
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
  // Pooled where channels lie plane by plane.
  for (const char* pool : {"MAX", "AVE"}) {
    CompareNets(inputs + first +
                "layer { name: 'cat' type: 'Concat' bottom: 'a' bottom: 'a'"
                " top: 'b' }" +
                SimpleLayer("Pooling", "b", "c", string("pooling_param {"
                            " kernel_size: 3 stride: 2 pool: ") + pool + " }") +
                Loss("c"));
  }
}

TEST_F(OneDNNNetsTest, SharedWeights) {
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

TEST_F(OneDNNNetsTest, NotANumberStaysOne) {
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
TEST_F(OneDNNNetsTest, SolversStep) {
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

TEST_F(OneDNNNetsTest, SameBitsEveryTime) {
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

TEST_F(OneDNNNetsTest, WhoKeepsAPointerSeesWhatIsNew) {
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
static string Bfloat16Layers() {
  return ConvLayer("conv1", "x", "a", "num_output: 32 kernel_size: 5") +
      SimpleLayer("ReLU", "a", "a") +
      ConvLayer("conv2", "a", "b", "num_output: 16 kernel_size: 3 group: 2") +
      SimpleLayer("ReLU", "b", "b") +
      "layer { name: 'fc' type: 'InnerProduct' bottom: 'b' top: 'f'"
      " inner_product_param { num_output: 30 transpose: true" +
      Fillers() + "} }" + Loss("f");
}

// With few rows inner products stay float.
TEST_F(OneDNNNetsTest, Bfloat16IsNearFloat) {
  LayerParameter asks;
  asks.set_bfloat16(true);
  const bool supported = onednn::FactorType(asks) != onednn::kFloat;
  for (const int rows : {8, 130}) {
    SCOPED_TRACE(rows);
    const string text = Input("x", {rows, 3, 31, 31}) +
        Input("target", {rows, 5}) + Bfloat16Layers();
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
}

TEST_F(OneDNNNetsTest, WeightsThatChangeBetweenPassesAreSeen) {
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

// The input that BatchNorm keeps is then what a layer in place behind it has
// left there, and writes again.
TEST_F(OneDNNNetsTest, ForwardFromAMiddleLayer) {
  const string text = Input("x", {3, 3, 11, 9}) + Input("target", {3, 5}) +
      ConvLayer("conv1", "x", "a",
                "bias_term: false kernel_size: 3 num_output: 32") +
      SimpleLayer("BatchNorm", "a", "a") +
      SimpleLayer("Scale", "a", "a", "scale_param { bias_term: true"
                  " filler { type: 'uniform' min: 0.5 max: 1.5 }"
                  " bias_filler { type: 'gaussian' std: 1 } }") +
      SimpleLayer("ReLU", "a", "a", "relu_param { negative_slope: 0.2 }") +
      ConvLayer("conv2", "a", "c", "num_output: 16 kernel_size: 3") + Loss("c");
  // (Caffe's Scale in place is itself wrong in a second backward pass.)
  for (const char* start : {"aBatchNorm", "aScale"}) {
    SCOPED_TRACE(start);
    Net<float> own(Parse(text, "CAFFE")), net(Parse(text, "ONEDNN"));
    CopyWeights(own, &net);
    for (int i = 0; i < own.num_inputs(); ++i) {
      Fill(own.input_blobs()[i], false);
    }
    CopyInputs(&own, &net);
    const vector<string>& names = own.layer_names();
    const int layer =
        std::find(names.begin(), names.end(), start) - names.begin();
    for (int pass = 0; pass < 4; ++pass) {
      for (Net<float>* each : {&own, &net}) {
        each->ClearParamDiffs();
        each->ForwardFrom(pass % 3 ? layer : 0);
        each->Backward();
      }
      ExpectSameNets(own, net);
    }
  }
}

// A layer out of place computes its gradient from its own input, too, when
// another reader of the same memory has written into it since.
TEST_F(OneDNNNetsTest, BatchNormKeepsAnInputThatAnotherLayerOverwrites) {
  const string text = Input("x", {3, 3, 11, 9}) + Input("target", {3, 5}) +
      ConvLayer("conv1", "x", "a",
                "bias_term: false kernel_size: 3 num_output: 32") +
      "layer { name: 'split' type: 'Split' bottom: 'a' top: 'b' top: 'd' }" +
      SimpleLayer("BatchNorm", "b", "s") + SimpleLayer("ReLU", "d", "d") +
      "layer { name: 'sum' type: 'Eltwise' bottom: 's' bottom: 'd' top: 'c' }" +
      Loss("c");
  CompareNets(text);
}

// In passes over a whole net memory is what it was, not more with each pass.
TEST_F(OneDNNNetsTest, MemoryIsWrittenAgain) {
  const string text = Input("x", {3, 3, 11, 9}) + Input("target", {3, 5}) +
      ConvLayer("conv1", "x", "a",
                "bias_term: false kernel_size: 3 num_output: 32") +
      SimpleLayer("BatchNorm", "a", "a") + SimpleLayer("Scale", "a", "a") +
      SimpleLayer("ReLU", "a", "r") +
      ConvLayer("conv2", "r", "c", "num_output: 16 kernel_size: 3") + Loss("c");
  Net<float> net(Parse(text, "ONEDNN"));
  void* memory = NULL;
  for (int pass = 0; pass < 3; ++pass) {
    net.Forward();
    net.Backward();
    const Blob<float>& blob = *net.blob_by_name("r");
    const shared_ptr<onednn::Layout> layout =
        onednn::Blocks(blob.data().get(), onednn::Dims(blob));
    ASSERT_TRUE(layout.get());
    if (pass == 0) { memory = layout->memory().get_data_handle(); }
    EXPECT_EQ(memory, layout->memory().get_data_handle());
  }
}

// Callers ask once for the memory of what goes into a net and comes out of it.
TEST_F(OneDNNNetsTest, WhoKeepsAPointerToAnOutputSeesWhatIsNew) {
  const string text = Input("x", {2, 3, 9, 9}) +
      ConvLayer("conv", "x", "a", "num_output: 16 kernel_size: 3");
  Net<float> net(Parse(text, "ONEDNN"));
  const Blob<float>& output = *net.output_blobs()[0];
  Blob<float>* input = net.input_blobs()[0];
  const float* kept = output.cpu_data();
  float* written = input->mutable_cpu_data();
  for (int pass = 0; pass < 2; ++pass) {
    caffe_rng_gaussian<float>(input->count(), 0, 1, written);
    net.Forward();
    EXPECT_NE(0, kept[0]);
    const vector<float> values(kept, kept + output.count());
    ExpectNear(output.count(), output.cpu_data(), values.data(), "kept");
  }
  // As is the gradient of what goes in.
  const float* gradient = input->cpu_diff();
  caffe_set(output.count(), 1.f, net.output_blobs()[0]->mutable_cpu_diff());
  net.Backward();
  EXPECT_NE(0, gradient[input->count() / 2]);
}

// Memory of the caller's own, which he reads and writes without a call.
TEST_F(OneDNNNetsTest, MemoryOfTheCallersOwnIsSeenAndWritten) {
  const string text = "state { phase: TEST } " + Input("x", {2, 16, 9, 9}) +
      Input("target", {2, 5}) +
      ConvLayer("conv", "x", "a", "num_output: 16 kernel_size: 3") + Loss("a");
  Net<float> own(Parse(text, "CAFFE")), net(Parse(text, "ONEDNN"));
  CopyWeights(own, &net);
  for (int i = 0; i < own.num_inputs(); ++i) {
    Fill(own.input_blobs()[i], false);
  }
  CopyInputs(&own, &net);
  Blob<float>* weight = net.learnable_params()[0];
  vector<float> weights(weight->cpu_data(), weight->cpu_data() +
                        weight->count());
  weight->set_cpu_data(weights.data());
  Blob<float>* top = net.blob_by_name("a").get();
  vector<float> result(top->count());
  top->set_cpu_data(result.data());
  for (int pass = 0; pass < 2; ++pass) {
    weights[5] += 3;
    own.learnable_params()[0]->mutable_cpu_data()[5] += 3;
    own.Forward();
    net.Forward();
    ExpectNear(top->count(), own.blob_by_name("a")->cpu_data(), result.data(),
               "caller's memory");
  }
}

// oneDNN pads channels to blocks of 8 or 16.
TEST_F(OneDNNNetsTest, FewChannelsTakeNoMoreThanTheirMemory) {
  const string text = Input("x", {2, 16, 9, 9}) + Input("target", {2, 5}) +
      ConvLayer("conv1", "x", "a", "num_output: 1 kernel_size: 3") +
      SimpleLayer("ReLU", "a", "a") +
      ConvLayer("conv2", "a", "b",
                "num_output: 3 kernel_size: 3 bias_term: false") +
      SimpleLayer("BatchNorm", "b", "b") +
      ConvLayer("conv3", "b", "c", "num_output: 16 kernel_size: 3") + Loss("c");
  Net<float> net(Parse(text, "ONEDNN"));
  net.Forward();
  net.Backward();
  for (const char* name : {"a", "b", "c"}) {
    const Blob<float>& blob = *net.blob_by_name(name);
    for (SyncedMemory* data : {blob.data().get(), blob.diff().get()}) {
      const shared_ptr<onednn::Layout> layout =
          onednn::Blocks(data, onednn::Dims(blob));
      const int64_t values =
          layout ? onednn::Count(layout->memory()) : blob.count();
      EXPECT_LE(values, 2 * blob.count()) << name;
    }
  }
  CompareNets(text);
}

// A caller keeps the weights' memory, or gives some of his own.
TEST_F(OneDNNNetsTest, Bfloat16SeesWeightsThroughAKeptPointer) {
  const string text = "name: 'fc' type: 'InnerProduct' bfloat16: true"
      " inner_product_param { num_output: 20 " + Fillers() + "}";
  for (const bool own : {false, true}) {
    Blob<float> bottom(vector<int>{130, 16}), top;
    const vector<Blob<float>*> bottoms(1, &bottom), tops(1, &top);
    shared_ptr<caffe::Layer<float> > layer =
        LayerRegistry<float>::CreateLayer(Layer(text, "ONEDNN"));
    layer->SetUp(bottoms, tops);
    Blob<float>* weight = layer->blobs()[0].get();
    vector<float> memory(weight->cpu_data(),
                         weight->cpu_data() + weight->count());
    if (own) { weight->set_cpu_data(memory.data()); }
    float* weights = own ? memory.data() : weight->mutable_cpu_data();
    float* values = bottom.mutable_cpu_data();
    for (const float value : {1.f, 2.f}) {
      std::fill(values, values + bottom.count(), value);
      std::fill(weights, weights + weight->count(), value);
      layer->Forward(bottoms, tops);
      EXPECT_NEAR(16 * value * value,
                  top.cpu_data()[0] - layer->blobs()[1]->cpu_data()[0], 1e-3);
    }
  }
}

}  // namespace caffe
