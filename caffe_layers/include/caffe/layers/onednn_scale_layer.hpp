#ifndef CAFFE_ONEDNN_SCALE_LAYER_HPP_
#define CAFFE_ONEDNN_SCALE_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/scale_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/onednn.hpp"

namespace caffe {

/**
 * @brief Scale and bias of an image's channels on the CPU in threads, in
 *        Caffe's layout or in blocks of channels; ScaleLayer's own for all else.
 */
class OneDNNScaleLayer : public ScaleLayer<float> {
 public:
  explicit OneDNNScaleLayer(const LayerParameter& param)
      : ScaleLayer<float>(param), handled_(false) {}

 protected:
  virtual void Forward_cpu(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);
  virtual void Backward_cpu(const vector<Blob<float>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom);

 private:
  bool Handles(const vector<Blob<float>*>& bottom) const;

  bool handled_;       // the last forward pass
  onednn::Desc desc_;  // its bottom blob
  onednn::SavedInput input_;
  onednn::Writer top_data_;
  onednn::ElementwiseGradient gradient_;
};

}  // namespace caffe

#endif  // CAFFE_ONEDNN_SCALE_LAYER_HPP_
