#ifndef CAFFE_ONEDNN_LAYERS_HPP_
#define CAFFE_ONEDNN_LAYERS_HPP_

#include "caffe/layers/fused_batch_norm_layer.hpp"
#include "caffe/layers/fused_relu_layer.hpp"
#include "caffe/layers/fused_scale_layer.hpp"
#include "caffe/layers/onednn_conv_layer.hpp"
#include "caffe/layers/onednn_inner_product_layer.hpp"
#include "caffe/layers/onednn_lrn_layer.hpp"
#include "caffe/layers/onednn_pooling_layer.hpp"

namespace caffe {

/// The layers that `engine: ONEDNN` means: Caffe's own but for float. Those of
/// names with OneDNN compute with it, the fused ones with code of ours in its
/// layouts.
template <typename Dtype>
struct OneDNN {
  typedef BatchNormLayer<Dtype> BatchNorm;
  typedef ConvolutionLayer<Dtype> Convolution;
  typedef InnerProductLayer<Dtype> InnerProduct;
  typedef LRNLayer<Dtype> LRN;
  typedef PoolingLayer<Dtype> Pooling;
  typedef ReLULayer<Dtype> ReLU;
  typedef ScaleLayer<Dtype> Scale;
};

template <>
struct OneDNN<float> {
  typedef FusedBatchNormLayer BatchNorm;
  typedef OneDNNConvolutionLayer Convolution;
  typedef OneDNNInnerProductLayer InnerProduct;
  typedef OneDNNLRNLayer LRN;
  typedef OneDNNPoolingLayer Pooling;
  typedef FusedReLULayer ReLU;
  typedef FusedScaleLayer Scale;
};

/// Whether `engine: DEFAULT` means ONEDNN. Elsewhere than on x86-64 Debian's
/// oneDNN has reference code only.
inline bool OneDNNByDefault() {
#ifdef __x86_64__
  return true;
#else
  return false;
#endif
}

}  // namespace caffe

#endif  // CAFFE_ONEDNN_LAYERS_HPP_
