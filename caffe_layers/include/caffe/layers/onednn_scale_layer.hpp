#ifndef CAFFE_ONEDNN_SCALE_LAYER_HPP_
#define CAFFE_ONEDNN_SCALE_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/scale_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/onednn_pending.hpp"

namespace caffe {

/**
 * @brief Scale and bias of an image's channels on the CPU in threads, in
 *        Caffe's layout or in blocks of channels; ScaleLayer's own for all else.
 *        What is to be scaled may be pending (util/onednn_pending.hpp).
 */
class OneDNNScaleLayer : public ScaleLayer<float> {
 public:
  explicit OneDNNScaleLayer(const LayerParameter& param)
      : ScaleLayer<float>(param), handled_(false),
        scaled_(new onednn::PendingScale()),
        pending_gradient_(new onednn::PendingGradient()) {}

 protected:
  virtual void Forward_cpu(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);
  virtual void Backward_cpu(const vector<Blob<float>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom);

 private:
  bool Handles(const vector<Blob<float>*>& bottom) const;
  void AddToParameters(const vector<float>& product, const vector<float>& sum);

  bool handled_;  // the last forward pass
  /// Its bottom blob, which is a scaled one itself: the values of BatchNorm's
  /// input, or its own with coefficients of 1 and 0.
  shared_ptr<onednn::PendingScale> input_;
  shared_ptr<onednn::PendingScale> scaled_;  // its top blob
  onednn::SavedInput saved_;
  onednn::Writer top_data_, bottom_diff_;
  onednn::Reader top_diff_;
  shared_ptr<onednn::PendingGradient> pending_gradient_;
};

}  // namespace caffe

#endif  // CAFFE_ONEDNN_SCALE_LAYER_HPP_
