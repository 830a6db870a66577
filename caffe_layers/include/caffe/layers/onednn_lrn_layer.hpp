#ifndef CAFFE_ONEDNN_LRN_LAYER_HPP_
#define CAFFE_ONEDNN_LRN_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/lrn_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/onednn_blobs.hpp"

namespace caffe {

/**
 * @brief Local response normalisation across channels by oneDNN on the CPU;
 *        within a channel LRNLayer's own.
 */
class OneDNNLRNLayer : public LRNLayer<float> {
 public:
  explicit OneDNNLRNLayer(const LayerParameter& param)
      : LRNLayer<float>(param) {}

 protected:
  virtual void CrossChannelForward_cpu(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);
  virtual void CrossChannelBackward_cpu(const vector<Blob<float>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom);

 private:
  void Prepare(const onednn::Desc& bottom);

  onednn::Desc desc_;  // of the bottom blob, for which the primitives are
  dnnl::lrn_forward::primitive_desc forward_desc_;
  dnnl::lrn_backward::primitive_desc backward_desc_;
  dnnl::lrn_forward forward_;
  dnnl::lrn_backward backward_;
  dnnl::memory workspace_;
  onednn::Reader bottom_data_, top_diff_;
  onednn::Writer top_data_, bottom_diff_;
};

}  // namespace caffe

#endif  // CAFFE_ONEDNN_LRN_LAYER_HPP_
