#ifndef CAFFE_ONEDNN_CONV_LAYER_HPP_
#define CAFFE_ONEDNN_CONV_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/conv_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/onednn_blobs.hpp"

namespace caffe {

/**
 * @brief oneDNN's direct convolution on the CPU, in two dimensions and float;
 *        elsewhere ConvolutionLayer's own. With `bfloat16: true` factors are
 *        rounded to bfloat16; sums, blobs and parameters stay float.
 */
class OneDNNConvolutionLayer : public ConvolutionLayer<float> {
 public:
  explicit OneDNNConvolutionLayer(const LayerParameter& param)
      : ConvolutionLayer<float>(param),
        factor_type_(onednn::FactorType(param)), type_(factor_type_),
        backward_prepared_(false) {}
  /// Whether oneDNN (2.6 and 3.2) finds gradients of weights in bfloat16 right:
  /// where a map is narrower than the stride they are infinite, or any number.
  static bool Bfloat16IsRight(const dnnl::memory::dims& bottom,
                              const dnnl::memory::dims& stride);
  virtual void Reshape(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);

 protected:
  virtual void Forward_cpu(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);
  virtual void Backward_cpu(const vector<Blob<float>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom);

 private:
  typedef dnnl::convolution_forward::primitive_desc ForwardDesc;
  typedef dnnl::convolution_backward_data::primitive_desc DataDesc;
  typedef dnnl::convolution_backward_weights::primitive_desc WeightDesc;

  bool Handles(const Blob<float>& bottom) const;
  void PrepareForward();
  void PrepareBackward();
  dnnl::memory ReadWeight(const onednn::Desc& desc);

  const onednn::Type factor_type_;  // as the layer asks for
  onednn::Type type_;  // of the factors, at the present shape
  // What the primitives are for; {groups, outputs, channels, height, width}
  // for weights in groups.
  dnnl::memory::dims bottom_dims_, top_dims_, weight_dims_, bias_dims_;
  dnnl::memory::dims stride_dims_, dilation_dims_, pad_dims_;
  ForwardDesc forward_desc_;
  DataDesc data_desc_;
  WeightDesc weight_desc_;
  dnnl::convolution_forward forward_;
  dnnl::convolution_backward_data backward_data_;
  dnnl::convolution_backward_weights backward_weight_;
  bool backward_prepared_;

  onednn::Reader weight_, backward_weight_reader_;
  // One for each bottom blob.
  vector<onednn::Reader> bottom_data_, top_diff_;
  vector<onednn::Writer> top_data_, bottom_diff_;
  onednn::Adder weight_diff_, bias_diff_;
};

}  // namespace caffe

#endif  // CAFFE_ONEDNN_CONV_LAYER_HPP_
