#include "caffe/layers/onednn_batch_norm_layer.hpp"

#include <vector>

#include "caffe/util/math_functions.hpp"

namespace caffe {

using dnnl::memory;

void OneDNNBatchNormLayer::Prepare(const onednn::Desc& bottom) {
  if (forward_ && bottom == desc_) { return; }
  desc_ = bottom;
  const dnnl::normalization_flags flags = use_global_stats_ ?
      dnnl::normalization_flags::use_global_stats :
      dnnl::normalization_flags::none;
  forward_desc_ = dnnl::batch_normalization_forward::primitive_desc(
      dnnl::batch_normalization_forward::desc(
          dnnl::prop_kind::forward_training, bottom, eps_, flags),
      onednn::Engine());
  forward_ = dnnl::batch_normalization_forward(forward_desc_);
  backward_desc_ = dnnl::batch_normalization_backward::primitive_desc(
      dnnl::batch_normalization_backward::desc(
          dnnl::prop_kind::backward_data, bottom, bottom, eps_, flags),
      onednn::Engine(), forward_desc_);
  backward_ = dnnl::batch_normalization_backward(backward_desc_);
}

void OneDNNBatchNormLayer::TakeStoredStatistics() {
  const float weight = blobs_[2]->cpu_data()[0];
  const float scale = weight == 0 ? 0 : 1 / weight;
  caffe_cpu_scale(channels_, scale, blobs_[0]->cpu_data(),
                  mean_.mutable_cpu_data());
  caffe_cpu_scale(channels_, scale, blobs_[1]->cpu_data(),
                  variance_.mutable_cpu_data());
}

void OneDNNBatchNormLayer::UpdateMovingAverages(int values) {
  float* weight = blobs_[2]->mutable_cpu_data();
  weight[0] = weight[0] * moving_average_fraction_ + 1;
  caffe_cpu_axpby(channels_, 1.f, mean_.cpu_data(), moving_average_fraction_,
                  blobs_[0]->mutable_cpu_data());
  const float unbiased =
      values > 1 ? static_cast<float>(values) / (values - 1) : 1.f;
  caffe_cpu_axpby(channels_, unbiased, variance_.cpu_data(),
                  moving_average_fraction_, blobs_[1]->mutable_cpu_data());
}

void OneDNNBatchNormLayer::Forward_cpu(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  if (!Handles(*bottom[0])) {
    return BatchNormLayer<float>::Forward_cpu(bottom, top);
  }
  const memory::dims dims = onednn::Dims(*bottom[0]);
  SyncedMemory* top_data = top[0]->data().get();
  const memory x = input_.Save(bottom[0]->data().get(), dims,
                               bottom[0] == top[0]);
  Prepare(x.get_desc());
  if (use_global_stats_) { TakeStoredStatistics(); }
  const memory y = top_data_.Begin(top_data, dims, forward_desc_.dst_desc());
  onednn::Execute(forward_, {
      {DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y},
      {DNNL_ARG_MEAN, memory(forward_desc_.mean_desc(), onednn::Engine(),
                             mean_.mutable_cpu_data())},
      {DNNL_ARG_VARIANCE, memory(forward_desc_.variance_desc(),
                                 onednn::Engine(),
                                 variance_.mutable_cpu_data())}});
  top_data_.End(top_data);
  if (!use_global_stats_) {
    UpdateMovingAverages(bottom[0]->count() / channels_);
  }
}

void OneDNNBatchNormLayer::Backward_cpu(const vector<Blob<float>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom) {
  if (!Handles(*bottom[0])) {
    return BatchNormLayer<float>::Backward_cpu(top, propagate_down, bottom);
  }
  const memory::dims dims = onednn::Dims(*bottom[0]);
  const memory x = input_.Saved(bottom[0]->data().get(), dims, desc_);
  const memory y_diff = top_diff_.Read(
      top[0]->diff().get(), dims, backward_desc_.diff_dst_desc());
  SyncedMemory* bottom_diff = bottom[0]->diff().get();
  const memory x_diff = bottom_diff_.Begin(
      bottom_diff, dims, backward_desc_.diff_src_desc());
  onednn::Execute(backward_, {
      {DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_DST, y_diff},
      {DNNL_ARG_DIFF_SRC, x_diff},
      {DNNL_ARG_MEAN, memory(forward_desc_.mean_desc(), onednn::Engine(),
                             mean_.mutable_cpu_data())},
      {DNNL_ARG_VARIANCE, memory(forward_desc_.variance_desc(),
                                 onednn::Engine(),
                                 variance_.mutable_cpu_data())}});
  bottom_diff_.End(bottom_diff);
}

}  // namespace caffe
