#include "caffe/layers/onednn_scale_layer.hpp"

#include <vector>

namespace caffe {

using dnnl::memory;

bool OneDNNScaleLayer::Handles(const vector<Blob<float>*>& bottom) const {
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

void OneDNNScaleLayer::Forward_cpu(const vector<Blob<float>*>& bottom,
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
    input_.reset(new onednn::PendingScale());
    const memory x = saved_.Save(data, dims, in_place);
    Channels shape;
    onednn::SetChannels(x.get_desc(), &shape);
    input_->Set(x, shape);
    input_->scale.assign(shape.padded(), 1);
    input_->shift.assign(shape.padded(), 0);
  }
  const Channels& shape = input_->shape;
  const int channels = blobs_[0]->count();
  scaled_->Set(input_->x, shape);
  scaled_->scale = onednn::PaddedChannels(shape, blobs_[0]->cpu_data(),
                                          channels);
  scaled_->shift.assign(shape.padded(), 0);
  if (bias_layer_) {
    scaled_->shift = onednn::PaddedChannels(
        shape, blobs_[bias_param_id_]->cpu_data(), channels);
  }
  for (int c = 0; c < shape.padded(); ++c) {
    scaled_->shift[c] += scaled_->scale[c] * input_->shift[c];
    scaled_->scale[c] *= input_->scale[c];
  }
  SyncedMemory* top_data = top[0]->data().get();
  if (leave) { return top_data->set_private_data(scaled_); }
  const memory y = top_data_.Begin(top_data, dims, scaled_->desc());
  ChannelScale(shape, scaled_->scale, scaled_->shift,
               onednn::Values(scaled_->x), onednn::Values(y));
  top_data_.End(top_data);
}

void OneDNNScaleLayer::AddToParameters(const vector<float>& product,
                                       const vector<float>& sum) {
  for (int i = 0; i < blobs_.size(); ++i) {
    if (!param_propagate_down_[i]) { continue; }
    const vector<float>& from = i == 0 ? product : sum;
    float* diff = blobs_[i]->mutable_cpu_diff();
    for (int c = 0; c < blobs_[i]->count(); ++c) { diff[c] += from[c]; }
  }
}

void OneDNNScaleLayer::Backward_cpu(const vector<Blob<float>*>& top,
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
    onednn::PendingGradient* const handed = pending_gradient_.get();
    handed->Set(incoming.layout(), shape);
    handed->top = incoming.top();
    handed->slope = incoming.gradient().slope;
    handed->scale = scale;
    handed->input = input_;
    handed->sum = sum;
    handed->product = product;
    return bottom_diff->set_private_data(pending_gradient_);
  }
  const memory x_diff = bottom_diff_.Begin(bottom_diff, dims, input_->desc());
  ChannelGradient(shape, incoming.gradient(), scale, onednn::Values(x_diff));
  bottom_diff_.End(bottom_diff);
}

}  // namespace caffe
