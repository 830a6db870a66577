#include "caffe/layers/onednn_pooling_layer.hpp"

#include <algorithm>
#include <vector>

namespace caffe {

using dnnl::memory;
using onednn::Arguments;
using onednn::Engine;
using onednn::Make;

void OneDNNPoolingLayer::Reshape(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  PoolingLayer<float>::Reshape(bottom, top);
  bottom_dims_ = onednn::Dims(*bottom[0]);
  top_dims_ = onednn::Dims(*top[0]);
  kernel_dims_ = {kernel_h_, kernel_w_};
  stride_dims_ = {stride_h_, stride_w_};
  pad_dims_ = {pad_h_, pad_w_};
  // Caffe lets the last window hang over the edge, or end before it.
  pad_end_dims_ = {
      (pooled_height_ - 1) * stride_h_ + kernel_h_ - height_ - pad_h_,
      (pooled_width_ - 1) * stride_w_ + kernel_w_ - width_ - pad_w_};
  const bool hangs_over =
      pad_end_dims_[0] > pad_h_ || pad_end_dims_[1] > pad_w_;
  const bool beyond =
      pad_end_dims_[0] >= kernel_h_ || pad_end_dims_[1] >= kernel_w_;
  handles_ = top.size() == 1 && bottom[0]->count() > 0 && !beyond;
  switch (this->layer_param_.pooling_param().pool()) {
  case PoolingParameter_PoolMethod_MAX:
    algorithm_ = dnnl::algorithm::pooling_max;
    break;
  case PoolingParameter_PoolMethod_AVE:
    // Caffe counts padding, up to the one that it was told.
    if (pad_h_ == 0 && pad_w_ == 0) {
      algorithm_ = dnnl::algorithm::pooling_avg_exclude_padding;
    } else {
      algorithm_ = dnnl::algorithm::pooling_avg_include_padding;
      handles_ = handles_ && !hangs_over;
    }
    break;
  default:
    handles_ = false;
  }
}

// The layout to pool a blob in that lies as `here`: where channels lie plane by
// plane, behind a Concat say, oneDNN's code is an eighth as fast as with
// channels innermost, which is worth the copy.
static onednn::Desc ToPoolIn(const onednn::Desc& here,
                             const memory::dims& dims) {
  const bool planes = dims.size() == 4 && dims[1] >= 8 &&
      here == onednn::PlainDesc(dims);
  return planes ? Make<onednn::Desc>(dims, onednn::kFloat,
                                     memory::format_tag::acdb) : here;
}

void OneDNNPoolingLayer::Prepare(const onednn::Desc& bottom) {
  if (forward_ && bottom == desc_ &&
      forward_desc_.dst_desc().dims() == top_dims_) {
    return;
  }
  desc_ = bottom;
  forward_desc_ = Make<dnnl::pooling_forward::primitive_desc>(
      Make<dnnl::pooling_forward::desc>(
          dnnl::prop_kind::forward_training, algorithm_, bottom,
          onednn::AnyDesc(top_dims_), stride_dims_, kernel_dims_, pad_dims_,
          pad_end_dims_),
      Engine());
  forward_ = Make<dnnl::pooling_forward>(forward_desc_);
  workspace_ = onednn::Allocate(forward_desc_.workspace_desc());
  backward_desc_ = Make<dnnl::pooling_backward::primitive_desc>(
      Make<dnnl::pooling_backward::desc>(
          algorithm_, bottom, forward_desc_.dst_desc(), stride_dims_,
          kernel_dims_, pad_dims_, pad_end_dims_),
      Engine(), forward_desc_);
  backward_ = Make<dnnl::pooling_backward>(backward_desc_);
}

void OneDNNPoolingLayer::Forward_cpu(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  if (!handles_) {
    return PoolingLayer<float>::Forward_cpu(bottom, top);
  }
  SyncedMemory* bottom_data = bottom[0]->data().get();
  const memory x = bottom_data_.Read(bottom_data, bottom_dims_,
      ToPoolIn(onednn::Here(bottom_data, bottom_dims_).get_desc(),
               bottom_dims_));
  Prepare(x.get_desc());
  SyncedMemory* top_data = top[0]->data().get();
  const memory y =
      top_data_.Begin(top_data, top_dims_, forward_desc_.dst_desc());
  onednn::Execute(forward_, {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y},
                             {DNNL_ARG_WORKSPACE, workspace_}});
  top_data_.End(top_data);
}

void OneDNNPoolingLayer::Backward_cpu(const vector<Blob<float>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom) {
  if (!propagate_down[0]) { return; }
  if (!handles_) {
    return PoolingLayer<float>::Backward_cpu(top, propagate_down, bottom);
  }
  const memory y_diff = top_diff_.Read(
      top[0]->diff().get(), top_dims_, backward_desc_.diff_dst_desc());
  SyncedMemory* bottom_diff = bottom[0]->diff().get();
  const memory x_diff = bottom_diff_.Begin(
      bottom_diff, bottom_dims_, backward_desc_.diff_src_desc());
  onednn::Execute(backward_, {{DNNL_ARG_DIFF_DST, y_diff},
                              {DNNL_ARG_DIFF_SRC, x_diff},
                              {DNNL_ARG_WORKSPACE, workspace_}});
  bottom_diff_.End(bottom_diff);
}

}  // namespace caffe
