#include "caffe/layers/fused_batch_norm_layer.hpp"

#include <cmath>
#include <vector>

#include "caffe/util/math_functions.hpp"

namespace caffe {

using dnnl::memory;

void FusedBatchNormLayer::TakeStoredStatistics() {
  const float weight = blobs_[2]->cpu_data()[0];
  const float scale = weight == 0 ? 0 : 1 / weight;
  caffe_cpu_scale(channels_, scale, blobs_[0]->cpu_data(),
                  mean_.mutable_cpu_data());
  caffe_cpu_scale(channels_, scale, blobs_[1]->cpu_data(),
                  variance_.mutable_cpu_data());
}

void FusedBatchNormLayer::TakeStatistics(const float* x) {
  vector<float> mean, variance;
  ChannelMoments(normal_->shape, x, &mean, &variance);
  caffe_copy(channels_, mean.data(), mean_.mutable_cpu_data());
  caffe_copy(channels_, variance.data(), variance_.mutable_cpu_data());
  float* weight = blobs_[2]->mutable_cpu_data();
  weight[0] = weight[0] * moving_average_fraction_ + 1;
  caffe_cpu_axpby(channels_, 1.f, mean_.cpu_data(), moving_average_fraction_,
                  blobs_[0]->mutable_cpu_data());
  const float values = Values();
  const float unbiased = values > 1 ? values / (values - 1) : 1.f;
  caffe_cpu_axpby(channels_, unbiased, variance_.cpu_data(),
                  moving_average_fraction_, blobs_[1]->mutable_cpu_data());
}

void FusedBatchNormLayer::Forward_cpu(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  const memory::dims dims = onednn::Dims(*bottom[0]);
  Channels shape;
  handled_ = dims.size() == 4 && bottom[0]->count() > 0 &&
      onednn::SetChannels(
          onednn::Here(bottom[0]->data().get(), dims).get_desc(), &shape);
  if (!handled_) { return BatchNormLayer<float>::Forward_cpu(bottom, top); }
  const bool in_place = bottom[0] == top[0];
  SyncedMemory* data = top[0]->data().get();
  const bool blocks = onednn::Blocks(bottom[0]->data().get(), dims).get();
  normal_.reset();
  normal_.reset(new onednn::PendingScale(
      saver_.Save(bottom[0]->data().get(), dims), shape, normal_memory_));
  const memory x = normal_->x->memory();
  if (use_global_stats_) {
    TakeStoredStatistics();
  } else {
    TakeStatistics(onednn::Values(x));
  }
  for (int c = 0; c < channels_; ++c) {
    normal_->scale[c] = 1 / std::sqrt(variance_.cpu_data()[c] + eps_);
    normal_->shift[c] = -mean_.cpu_data()[c] * normal_->scale[c];
  }
  // Not in place somebody might change the bottom blob before it is done.
  if (in_place && blocks) { return data->set_private_data(normal_); }
  const memory y = top_data_.Begin(data, dims, x.get_desc());
  ChannelScale(shape, normal_->scale, normal_->shift, onednn::Values(x),
               onednn::Values(y));
  top_data_.End(data);
}

void FusedBatchNormLayer::Backward_cpu(const vector<Blob<float>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom) {
  if (!handled_) {
    return BatchNormLayer<float>::Backward_cpu(top, propagate_down, bottom);
  }
  const memory::dims dims = onednn::Dims(*bottom[0]);
  const Channels& shape = normal_->shape;
  const memory x = normal_->x->memory();
  // With n values a channel, of gradient g: dx = scale * (g - sum(g) / n
  // - normal * sum(g * normal) / n), where normal = scale * x + shift.
  onednn::IncomingGradient incoming;
  incoming.Take(top[0]->diff().get(), dims, shape, normal_->desc(),
                &top_diff_);
  vector<float> p(normal_->scale), sum, product;
  for (int c = 0; c < shape.padded(); ++c) { p[c] *= incoming.scale()[c]; }
  if (!use_global_stats_) { incoming.Sums(*normal_, &sum, &product); }
  SyncedMemory* bottom_diff = bottom[0]->diff().get();
  const memory x_diff = bottom_diff_.Begin(bottom_diff, dims, normal_->desc());
  if (use_global_stats_) {
    ChannelGradient(shape, incoming.gradient(), p, onednn::Values(x_diff));
  } else {
    vector<float> q(p.size()), r(p.size());
    for (int c = 0; c < shape.padded(); ++c) {
      const float s = normal_->scale[c] / Values();
      q[c] = -s * product[c] * normal_->scale[c];
      r[c] = -s * (sum[c] + product[c] * normal_->shift[c]);
    }
    ChannelGradient(shape, incoming.gradient(), p, q, r, onednn::Values(x),
                    onednn::Values(x_diff));
  }
  bottom_diff_.End(bottom_diff);
}

}  // namespace caffe
