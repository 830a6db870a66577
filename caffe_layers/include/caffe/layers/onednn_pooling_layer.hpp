#ifndef CAFFE_ONEDNN_POOLING_LAYER_HPP_
#define CAFFE_ONEDNN_POOLING_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/pooling_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/onednn_blobs.hpp"

namespace caffe {

/**
 * @brief Maximum and average pooling by oneDNN on the CPU; PoolingLayer's own
 *        where a mask is asked for, for stochastic pooling, and for averages
 *        over windows that Caffe counts in its own way.
 */
class OneDNNPoolingLayer : public PoolingLayer<float> {
 public:
  explicit OneDNNPoolingLayer(const LayerParameter& param)
      : PoolingLayer<float>(param) {}
  virtual void Reshape(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);

 protected:
  virtual void Forward_cpu(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);
  virtual void Backward_cpu(const vector<Blob<float>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom);

 private:
  void Prepare(const onednn::Desc& bottom);

  bool handles_;
  dnnl::algorithm algorithm_;
  dnnl::memory::dims bottom_dims_, top_dims_;
  dnnl::memory::dims stride_dims_, kernel_dims_, pad_dims_, pad_end_dims_;
  onednn::Desc desc_;  // of the bottom blob, for which the primitives are
  dnnl::pooling_forward::primitive_desc forward_desc_;
  dnnl::pooling_backward::primitive_desc backward_desc_;
  dnnl::pooling_forward forward_;
  dnnl::pooling_backward backward_;
  dnnl::memory workspace_;
  onednn::Reader bottom_data_, top_diff_;
  onednn::Writer top_data_, bottom_diff_;
};

}  // namespace caffe

#endif  // CAFFE_ONEDNN_POOLING_LAYER_HPP_
