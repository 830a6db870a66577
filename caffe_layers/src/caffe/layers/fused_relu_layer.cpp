#include "caffe/layers/fused_relu_layer.hpp"

#include <vector>

#include "caffe/util/relu.hpp"

namespace caffe {

using dnnl::memory;

void FusedReLULayer::Forward_cpu(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  SyncedMemory* top_data = top[0]->data().get();
  const shared_ptr<onednn::PendingScale> scaled =
      onednn::PendingOf<onednn::PendingScale>(*top_data,
                                              onednn::Dims(*top[0]));
  scales_ = bottom[0] == top[0] && scaled;
  if (scales_) {
    const memory y = top_data_.Begin(top_data, onednn::Dims(*top[0]),
                                     scaled->desc());
    ChannelScaleReLU(scaled->shape, scaled->scale, scaled->shift, Slope(),
                     onednn::Values(scaled->x->memory()), onednn::Values(y));
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

void FusedReLULayer::Backward_cpu(const vector<Blob<float>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom) {
  if (!propagate_down[0]) { return; }
  SyncedMemory* data = bottom[0]->data().get();
  SyncedMemory* top_diff = top[0]->diff().get();
  SyncedMemory* bottom_diff = bottom[0]->diff().get();
  const memory::dims dims = onednn::FlatDims(*bottom[0], data);
  const memory x = onednn::Here(data, dims);
  const shared_ptr<onednn::Layout> blocks = onednn::Blocks(data, dims);
  const shared_ptr<onednn::Layout> diff = scales_ && blocks ?
      onednn::Blocks(top_diff, dims) : shared_ptr<onednn::Layout>();
  if (diff && diff->memory().get_desc() == x.get_desc()) {
    Channels shape;
    onednn::SetChannels(x.get_desc(), &shape);
    const shared_ptr<onednn::PendingGradient> masked(
        new onednn::PendingGradient(diff, shape));
    masked->top = blocks;
    masked->slope = Slope();
    return bottom_diff->set_private_data(masked);
  }
  if (top_diff == bottom_diff &&
      onednn::Here(top_diff, dims).get_desc() == x.get_desc()) {
    const memory dx = in_place_diff_.Begin(bottom_diff, dims);
    Mask(x, dx, dx);
    return in_place_diff_.End(bottom_diff);
  }
  const memory dy = top_diff_.Read(top_diff, dims, x.get_desc());
  Mask(x, dy, bottom_diff_.Begin(bottom_diff, dims, x.get_desc()));
  bottom_diff_.End(bottom_diff);
}

void FusedReLULayer::Mask(const memory& x, const memory& dy,
                           const memory& dx) const {
  ReLUBackward(Slope(), onednn::Count(x), onednn::Values(x),
               onednn::Values(dy), onednn::Values(dx));
}

}  // namespace caffe
