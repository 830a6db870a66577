#ifndef CAFFE_FUSED_BATCH_NORM_LAYER_HPP_
#define CAFFE_FUSED_BATCH_NORM_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/keeps_pass.hpp"
#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/channel_fusion.hpp"

namespace caffe {

/**
 * @brief Batch normalisation of images on the CPU in threads, in Caffe's layout
 *        or in blocks of channels; of other shapes BatchNormLayer's own. Means,
 *        variances and their moving averages are Caffe's.
 *
 * In place and in blocks it only finds the statistics: Scale and ReLU after it
 * take them, and the values are computed once (util/channel_fusion.hpp).
 */
class FusedBatchNormLayer : public BatchNormLayer<float>, public KeepsPass {
 public:
  explicit FusedBatchNormLayer(const LayerParameter& param)
      : BatchNormLayer<float>(param), handled_(false),
        normal_memory_(new onednn::LayoutMemory()) {}
  virtual void ForgetPass() { normal_.reset(); }

 protected:
  virtual void Forward_cpu(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);
  virtual void Backward_cpu(const vector<Blob<float>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom);

 private:
  void TakeStoredStatistics();
  void TakeStatistics(const float* x);
  /// How many values a channel has.
  float Values() const {
    return static_cast<float>(normal_->shape.num) * normal_->shape.pixels;
  }

  bool handled_;  // the last forward pass
  shared_ptr<onednn::PendingScale> normal_;  // what it came to
  shared_ptr<onednn::LayoutMemory> normal_memory_;
  onednn::InputSaver saver_;
  onednn::Reader top_diff_;
  onednn::Writer top_data_, bottom_diff_;
};

}  // namespace caffe

#endif  // CAFFE_FUSED_BATCH_NORM_LAYER_HPP_
