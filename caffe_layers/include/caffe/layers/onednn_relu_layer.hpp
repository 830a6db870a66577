#ifndef CAFFE_ONEDNN_RELU_LAYER_HPP_
#define CAFFE_ONEDNN_RELU_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/onednn_pending.hpp"

namespace caffe {

/**
 * @brief ReLU on the CPU in threads, in whatever layout the values come.
 *
 * oneDNN could do it with the layer before, but makes 0 of what is not a number,
 * which has to be seen in the loss. Here it does what BatchNorm and Scale have
 * left to it, if it is in place behind them (util/onednn_pending.hpp).
 */
class OneDNNReLULayer : public ReLULayer<float> {
 public:
  explicit OneDNNReLULayer(const LayerParameter& param)
      : ReLULayer<float>(param), scales_(false),
        pending_gradient_(new onednn::PendingGradient()) {}

 protected:
  virtual void Forward_cpu(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);
  virtual void Backward_cpu(const vector<Blob<float>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom);

 private:
  float Slope() const {
    return this->layer_param_.relu_param().negative_slope();
  }

  bool scales_;  // did so in the last forward pass
  shared_ptr<onednn::PendingGradient> pending_gradient_;
  onednn::Writer top_data_;
  onednn::InPlaceWriter in_place_;
  onednn::ElementwiseGradient gradient_;
};

}  // namespace caffe

#endif  // CAFFE_ONEDNN_RELU_LAYER_HPP_
