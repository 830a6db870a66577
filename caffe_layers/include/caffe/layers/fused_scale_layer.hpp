#ifndef CAFFE_FUSED_SCALE_LAYER_HPP_
#define CAFFE_FUSED_SCALE_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/keeps_pass.hpp"
#include "caffe/layers/scale_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/channel_fusion.hpp"

namespace caffe {

/**
 * @brief Scale and bias of an image's channels on the CPU in threads, in
 *        Caffe's layout or in blocks of channels; ScaleLayer's own for all else.
 *        What is to be scaled may be pending (util/channel_fusion.hpp).
 */
class FusedScaleLayer : public ScaleLayer<float>, public KeepsPass {
 public:
  explicit FusedScaleLayer(const LayerParameter& param)
      : ScaleLayer<float>(param), handled_(false),
        scaled_memory_(new onednn::LayoutMemory()) {}
  virtual void ForgetPass() { input_.reset(); }

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
  shared_ptr<onednn::LayoutMemory> scaled_memory_;
  onednn::InputSaver saver_;
  onednn::Writer top_data_, bottom_diff_;
  onednn::Reader top_diff_;
};

}  // namespace caffe

#endif  // CAFFE_FUSED_SCALE_LAYER_HPP_
