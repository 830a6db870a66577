#include "caffe/layers/onednn_relu_layer.hpp"

#include <vector>

#include "caffe/util/relu.hpp"

namespace caffe {

using dnnl::memory;

void OneDNNReLULayer::Forward_cpu(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  SyncedMemory* top_data = top[0]->data().get();
  const shared_ptr<onednn::PendingScale> scaled =
      onednn::PendingOf<onednn::PendingScale>(*top_data,
                                              onednn::Dims(*top[0]));
  scales_ = bottom[0] == top[0] && scaled;
  if (scales_) {
    // A gradient that nobody has asked for yet is of the values until now.
    onednn::Blocks(bottom[0]->diff().get(), onednn::Dims(*bottom[0]));
    const memory y = top_data_.Begin(top_data, onednn::Dims(*top[0]),
                                     scaled->desc());
    ChannelScaleReLU(scaled->shape, scaled->scale, scaled->shift, Slope(),
                     onednn::Values(scaled->x), onednn::Values(y));
    return top_data_.End(top_data);
  }
  const memory::dims dims = onednn::FlatDims(*bottom[0],
                                             bottom[0]->data().get());
  if (bottom[0] == top[0]) {
    const memory x = in_place_.Begin(top_data, dims);
    ReLUForward(Slope(), onednn::Count(x), onednn::Values(x),
                onednn::Values(x));
    return in_place_.End(top_data);
  }
  const memory x = onednn::Here(bottom[0]->data().get(), dims);
  const memory y = top_data_.Begin(top_data, dims, x.get_desc());
  ReLUForward(Slope(), onednn::Count(x), onednn::Values(x), onednn::Values(y));
  top_data_.End(top_data);
}

void OneDNNReLULayer::Backward_cpu(const vector<Blob<float>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom) {
  if (!propagate_down[0]) { return; }
  const memory::dims dims = onednn::FlatDims(*bottom[0],
                                             bottom[0]->data().get());
  const memory x = onednn::Here(bottom[0]->data().get(), dims);
  const shared_ptr<onednn::Layout> diff = scales_ ?
      onednn::Blocks(top[0]->diff().get(), dims) :
      shared_ptr<onednn::Layout>();
  if (diff && diff->memory().get_desc() == x.get_desc()) {
    Channels shape;
    onednn::SetChannels(x.get_desc(), &shape);
    pending_gradient_->Set(diff, shape);
    pending_gradient_->top = x;
    pending_gradient_->slope = Slope();
    pending_gradient_->scale.assign(shape.padded(), 1);
    return bottom[0]->diff()->set_private_data(pending_gradient_);
  }
  gradient_.Begin(top[0]->diff().get(), bottom[0]->diff().get(), dims,
                  x.get_desc());
  ReLUBackward(Slope(), onednn::Count(x), onednn::Values(x),
               onednn::Values(gradient_.top()),
               onednn::Values(gradient_.bottom()));
  gradient_.End();
}

}  // namespace caffe
