#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "caffe/layers/onednn_conv_layer.hpp"
#include "caffe/test/onednn_test.hpp"

namespace caffe {

// Every layer that oneDNN computes, forward and backward, alone.
class OneDNNLayersTest : public OneDNNTest {
 protected:
  // A convolution in bfloat16 beside one in float.
  void CompareBfloat16(const string& fields, const vector<int>& shape) {
    SCOPED_TRACE(fields);
    Blob<float> bottom(shape), exact_top, top;
    Fill(&bottom, false);
    const vector<Blob<float>*> bottoms(1, &bottom), exact_tops(1, &exact_top),
        tops(1, &top);
    shared_ptr<caffe::Layer<float> > exact =
        LayerRegistry<float>::CreateLayer(Layer(Conv(fields), "CAFFE"));
    shared_ptr<caffe::Layer<float> > layer =
        LayerRegistry<float>::CreateLayer(
            Layer("bfloat16: true " + Conv(fields), "ONEDNN"));
    exact->SetUp(bottoms, exact_tops);
    layer->SetUp(bottoms, tops);
    for (int i = 0; i < 2; ++i) {
      layer->blobs()[i]->CopyFrom(*exact->blobs()[i]);
    }
    exact->Forward(bottoms, exact_tops);
    layer->Forward(bottoms, tops);
    Fill(&exact_top, true);
    caffe_copy(top.count(), exact_top.cpu_diff(), top.mutable_cpu_diff());
    const vector<bool> propagate_down(1, true);
    exact->Backward(exact_tops, propagate_down, bottoms);
    const vector<float> diff(bottom.cpu_diff(),
                             bottom.cpu_diff() + bottom.count());
    layer->Backward(tops, propagate_down, bottoms);
    EXPECT_LT(RelativeError(top.count(), exact_top.cpu_data(), top.cpu_data()),
              0.02);
    EXPECT_LT(RelativeError(bottom.count(), diff.data(), bottom.cpu_diff()),
              0.02);
    for (int i = 0; i < 2; ++i) {
      const Blob<float>& param = *exact->blobs()[i];
      EXPECT_LT(RelativeError(param.count(), param.cpu_diff(),
                              layer->blobs()[i]->cpu_diff()), 0.02);
    }
  }
};

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

// Maps no wider than strides and kernels, in all ways; in bfloat16, too, where
// the processor has it: then oneDNN is wrong for some of these.
TEST_F(OneDNNLayersTest, ConvolutionsOfNarrowMaps) {
  LayerParameter asks;
  asks.set_bfloat16(true);
  const bool bfloat16 = onednn::FactorType(asks) != onednn::kFloat;
  if (!bfloat16) {
    std::cerr << "In float alone: no bfloat16 on this processor." << std::endl;
  }
  for (int kernel = 1; kernel <= 3; ++kernel) {
    for (int pad = 0; pad <= kernel / 2; ++pad) {
      for (int stride = 1; stride <= 4; ++stride) {
        for (int width = 1; width <= 4; ++width) {
          if (width + 2 * pad < kernel) { continue; }
          std::ostringstream text;
          text << "num_output: 17 kernel_size: " << kernel << " pad: " << pad
              << " stride: " << stride;
          Compare(Conv(text.str()), {{2, 16, 5, width}});
          if (bfloat16) { CompareBfloat16(text.str(), {2, 16, 5, width}); }
          if (HasFailure()) { return; }
        }
      }
    }
  }
}

// A blob's values are fewer than an int holds, with filling they are not.
TEST_F(OneDNNLayersTest, CountsPastAnInt) {
  const onednn::Desc blocks({2048, 16, 256, 256}, onednn::kFloat,
                            dnnl::memory::format_tag::aBcd16b);
  const dnnl::memory none(blocks, onednn::Engine(), DNNL_MEMORY_NONE);
  EXPECT_EQ(INT64_C(1) << 31, onednn::Count(none));
}

// On any processor: which convolutions would be in bfloat16.
TEST_F(OneDNNLayersTest, Bfloat16IsLeftWhereAMapIsNarrowerThanTheStride) {
  typedef OneDNNConvolutionLayer Conv;
  EXPECT_FALSE(Conv::Bfloat16IsRight({2, 16, 8, 1}, {2, 2}));
  EXPECT_FALSE(Conv::Bfloat16IsRight({2, 16, 1, 8}, {2, 2}));
  EXPECT_FALSE(Conv::Bfloat16IsRight({2, 16, 8, 3}, {4, 4}));
  EXPECT_TRUE(Conv::Bfloat16IsRight({2, 16, 2, 2}, {2, 2}));
  EXPECT_TRUE(Conv::Bfloat16IsRight({2, 16, 1, 1}, {1, 1}));
  EXPECT_TRUE(Conv::Bfloat16IsRight({2, 16, 227, 227}, {4, 4}));
}

// Intel's processors multiply bfloat16 faster than float by AMX alone.
TEST_F(OneDNNLayersTest, Bfloat16WhereItGains) {
  const int float_only = static_cast<int>(dnnl::cpu_isa::avx512_core);
  const int bf16 = static_cast<int>(dnnl::cpu_isa::avx512_core_bf16);
  const int amx = static_cast<int>(dnnl::cpu_isa::avx512_core_amx);
  for (const bool amd : {false, true}) {
    EXPECT_FALSE(onednn::GainsByBfloat16(float_only, amd));
    EXPECT_EQ(amd, onednn::GainsByBfloat16(bf16, amd));
    EXPECT_TRUE(onednn::GainsByBfloat16(amx, amd));
  }
}

// The last of these windows has no value in it.
TEST_F(OneDNNLayersTest, PoolingBeyondTheImageIsAnError) {
  for (const char* engine : {"CAFFE", "ONEDNN"}) {
    for (const char* pool : {"MAX", "AVE"}) {
      const LayerParameter param = Layer(
          string("name: 'p' type: 'Pooling' pooling_param { pool: ") + pool +
          " kernel_size: 1 stride: 2 }", engine);
      shared_ptr<caffe::Layer<float> > layer =
          LayerRegistry<float>::CreateLayer(param);
      Blob<float> bottom(vector<int>{1, 2, 16, 16}), top;
      const vector<Blob<float>*> bottoms(1, &bottom), tops(1, &top);
      EXPECT_DEATH(layer->SetUp(bottoms, tops),
                   "layer p: .* lies beyond the 16 x 16 image; round_mode: "
                   "FLOOR");
    }
  }
  Compare("name: 'p' type: 'Pooling' pooling_param { pool: MAX kernel_size: 1"
          " stride: 2 round_mode: FLOOR }", {{1, 16, 16, 16}});
}

TEST_F(OneDNNLayersTest, ErrorsOfOneDNNAreFailedChecks) {
  const dnnl::memory::dims dims = {1, 2};
  const onednn::Desc desc = onednn::PlainDesc(dims);
  const onednn::Desc other = onednn::PlainDesc({3, 4});
  const dnnl::memory from = onednn::Allocate(desc),
      to = onednn::Allocate(other);
  EXPECT_EXIT(onednn::Reorder(from, to), ::testing::ExitedWithCode(1),
              "oneDNN: could not create");
}

TEST_F(OneDNNLayersTest, DoubleHasCaffesOwnLayers) {
  const LayerParameter param =
      Layer(Conv("num_output: 2 kernel_size: 1"), "ONEDNN");
  shared_ptr<caffe::Layer<double> > layer =
      LayerRegistry<double>::CreateLayer(param);
  EXPECT_TRUE(dynamic_cast<ConvolutionLayer<double>*>(layer.get()));
}

}  // namespace caffe
