#ifndef CAFFE_ONEDNN_BATCH_NORM_LAYER_HPP_
#define CAFFE_ONEDNN_BATCH_NORM_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/onednn.hpp"

namespace caffe {

/**
 * @brief Batch normalisation of images by oneDNN on the CPU; of other shapes
 *        BatchNormLayer's own. Means, variances and their moving averages are
 *        Caffe's.
 */
class OneDNNBatchNormLayer : public BatchNormLayer<float> {
 public:
  explicit OneDNNBatchNormLayer(const LayerParameter& param)
      : BatchNormLayer<float>(param) {}

 protected:
  virtual void Forward_cpu(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);
  virtual void Backward_cpu(const vector<Blob<float>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom);

 private:
  static bool Handles(const Blob<float>& bottom) {
    return bottom.num_axes() == 4 && bottom.count() > 0;
  }
  void Prepare(const onednn::Desc& bottom);
  void TakeStoredStatistics();
  void UpdateMovingAverages(int values);

  onednn::Desc desc_;  // of the bottom blob, for which the primitives are
  dnnl::batch_normalization_forward::primitive_desc forward_desc_;
  dnnl::batch_normalization_backward::primitive_desc backward_desc_;
  dnnl::batch_normalization_forward forward_;
  dnnl::batch_normalization_backward backward_;
  onednn::SavedInput input_;
  onednn::Reader top_diff_;
  onednn::Writer top_data_, bottom_diff_;
};

}  // namespace caffe

#endif  // CAFFE_ONEDNN_BATCH_NORM_LAYER_HPP_
