#include "caffe/layers/fused_scale_layer.hpp"

#include <vector>

namespace caffe {

using dnnl::memory;

bool FusedScaleLayer::Handles(const vector<Blob<float>*>& bottom) const {
  if (bottom.size() != 1 || bottom[0]->num_axes() != 4 || axis_ != 1 ||
      blobs_[0]->num_axes() != 1 || bottom[0]->count() == 0) {
    return false;
  }
  const memory::dims dims = onednn::Dims(*bottom[0]);
  SyncedMemory* data = bottom[0]->data().get();
  Channels shape;
  return onednn::PendingOf<onednn::PendingScale>(*data, dims) ||
      onednn::SetChannels(onednn::Here(data, dims).get_desc(), &shape);
}

void FusedScaleLayer::Forward_cpu(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  handled_ = Handles(bottom);
  if (!handled_) {
    return ScaleLayer<float>::Forward_cpu(bottom, top);
  }
  const memory::dims dims = onednn::Dims(*bottom[0]);
  SyncedMemory* data = bottom[0]->data().get();
  const bool in_place = bottom[0] == top[0];
  input_ = onednn::PendingOf<onednn::PendingScale>(*data, dims);
  // Values that are there, not in place, might be changed before it is done.
  bool leave = true;
  if (!input_) {
    leave = in_place && onednn::Blocks(data, dims);
    const shared_ptr<onednn::Layout> x = saver_.Save(data, dims);
    Channels shape;
    onednn::SetChannels(x->memory().get_desc(), &shape);
    input_.reset(new onednn::PendingScale(x, shape, scaled_memory_));
    input_->scale.assign(shape.padded(), 1);
  }
  const Channels& shape = input_->shape;
  const int channels = blobs_[0]->count();
  const shared_ptr<onednn::PendingScale> scaled(
      new onednn::PendingScale(input_->x, shape, scaled_memory_));
  scaled->scale = onednn::PaddedChannels(shape, blobs_[0]->cpu_data(),
                                         channels);
  if (bias_layer_) {
    scaled->shift = onednn::PaddedChannels(
        shape, blobs_[bias_param_id_]->cpu_data(), channels);
  }
  for (int c = 0; c < shape.padded(); ++c) {
    scaled->shift[c] += scaled->scale[c] * input_->shift[c];
    scaled->scale[c] *= input_->scale[c];
  }
  SyncedMemory* top_data = top[0]->data().get();
  if (leave) { return top_data->set_private_data(scaled); }
  const memory y = top_data_.Begin(top_data, dims, scaled->desc());
  ChannelScale(shape, scaled->scale, scaled->shift,
               onednn::Values(scaled->x->memory()), onednn::Values(y));
  top_data_.End(top_data);
}

void FusedScaleLayer::AddToParameters(const vector<float>& product,
                                       const vector<float>& sum) {
  for (int i = 0; i < blobs_.size(); ++i) {
    if (!param_propagate_down_[i]) { continue; }
    const vector<float>& from = i == 0 ? product : sum;
    float* diff = blobs_[i]->mutable_cpu_diff();
    for (int c = 0; c < blobs_[i]->count(); ++c) { diff[c] += from[c]; }
  }
}

void FusedScaleLayer::Backward_cpu(const vector<Blob<float>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom) {
  if (!handled_) {
    return ScaleLayer<float>::Backward_cpu(top, propagate_down, bottom);
  }
  const memory::dims dims = onednn::Dims(*bottom[0]);
  const Channels& shape = input_->shape;
  SyncedMemory* diff = top[0]->diff().get();
  onednn::IncomingGradient incoming;
  incoming.Take(diff, dims, shape, input_->desc(), &top_diff_);
  vector<float> sum, product;
  incoming.Sums(*input_, &sum, &product);
  AddToParameters(product, sum);
  if (!propagate_down[0]) { return; }
  vector<float> scale = onednn::PaddedChannels(
      shape, blobs_[0]->cpu_data(), blobs_[0]->count());
  for (int c = 0; c < shape.padded(); ++c) {
    sum[c] *= scale[c];
    product[c] *= scale[c];
    scale[c] *= incoming.scale()[c];
  }
  SyncedMemory* bottom_diff = bottom[0]->diff().get();
  if (bottom_diff == diff && incoming.layout()) {
    const shared_ptr<onednn::PendingGradient> handed(
        new onednn::PendingGradient(incoming.layout(), shape));
    handed->top = incoming.top();
    handed->slope = incoming.gradient().slope;
    handed->scale = scale;
    handed->input = input_;
    handed->sum = sum;
    handed->product = product;
    return bottom_diff->set_private_data(handed);
  }
  const memory x_diff = bottom_diff_.Begin(bottom_diff, dims, input_->desc());
  ChannelGradient(shape, incoming.gradient(), scale, onednn::Values(x_diff));
  bottom_diff_.End(bottom_diff);
}

}  // namespace caffe
