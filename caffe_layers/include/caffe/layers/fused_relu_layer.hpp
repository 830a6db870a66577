#ifndef CAFFE_FUSED_RELU_LAYER_HPP_
#define CAFFE_FUSED_RELU_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/channel_fusion.hpp"

namespace caffe {

/**
 * @brief ReLU on the CPU in threads, in whatever layout the values come.
 *
 * oneDNN could do it with the layer before, but makes 0 of what is not a number,
 * which has to be seen in the loss. Here it does what BatchNorm and Scale have
 * left to it, if it is in place behind them (util/channel_fusion.hpp).
 */
class FusedReLULayer : public ReLULayer<float> {
 public:
  explicit FusedReLULayer(const LayerParameter& param)
      : ReLULayer<float>(param), scales_(false) {}

 protected:
  virtual void Forward_cpu(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);
  virtual void Backward_cpu(const vector<Blob<float>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom);

 private:
  float Slope() const {
    return this->layer_param_.relu_param().negative_slope();
  }

  /// dx = dy, by the sign of x; dx may be dy.
  void Mask(const dnnl::memory& x, const dnnl::memory& dy,
            const dnnl::memory& dx) const;

  bool scales_;  // did so in the last forward pass
  onednn::Writer top_data_, bottom_diff_;
  onednn::InPlaceWriter in_place_, in_place_diff_;
  onednn::Reader top_diff_;
};

}  // namespace caffe

#endif  // CAFFE_FUSED_RELU_LAYER_HPP_
