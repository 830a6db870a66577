#include "caffe/layers/onednn_lrn_layer.hpp"

#include <vector>

namespace caffe {

using dnnl::memory;
using onednn::Arguments;
using onednn::Engine;
using onednn::Make;

void OneDNNLRNLayer::Prepare(const onednn::Desc& bottom) {
  if (forward_ && bottom == desc_) { return; }
  desc_ = bottom;
  const dnnl::algorithm algorithm = dnnl::algorithm::lrn_across_channels;
  forward_desc_ = Make<dnnl::lrn_forward::primitive_desc>(
      Make<dnnl::lrn_forward::desc>(dnnl::prop_kind::forward_training,
                                    algorithm, bottom, size_, alpha_, beta_,
                                    k_),
      Engine());
  forward_ = Make<dnnl::lrn_forward>(forward_desc_);
  workspace_ = onednn::Allocate(forward_desc_.workspace_desc());
  backward_desc_ = Make<dnnl::lrn_backward::primitive_desc>(
      Make<dnnl::lrn_backward::desc>(algorithm, bottom, bottom, size_, alpha_,
                                     beta_, k_),
      Engine(), forward_desc_);
  backward_ = Make<dnnl::lrn_backward>(backward_desc_);
}

void OneDNNLRNLayer::CrossChannelForward_cpu(
    const vector<Blob<float>*>& bottom, const vector<Blob<float>*>& top) {
  const memory::dims dims = onednn::Dims(*bottom[0]);
  // Held, so that in place the top blob gets other memory.
  const shared_ptr<onednn::Layout> held =
      onednn::Blocks(bottom[0]->data().get(), dims);
  const memory x = onednn::Here(bottom[0]->data().get(), dims);
  Prepare(x.get_desc());
  SyncedMemory* top_data = top[0]->data().get();
  const memory y = top_data_.Begin(top_data, dims, forward_desc_.dst_desc());
  onednn::Execute(forward_, {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y},
                             {DNNL_ARG_WORKSPACE, workspace_}});
  top_data_.End(top_data);
}

void OneDNNLRNLayer::CrossChannelBackward_cpu(
    const vector<Blob<float>*>& top, const vector<bool>& propagate_down,
    const vector<Blob<float>*>& bottom) {
  if (!propagate_down[0]) { return; }
  const memory::dims dims = onednn::Dims(*bottom[0]);
  // In the forward pass's layout, which the workspace is in.
  const memory x = bottom_data_.Read(bottom[0]->data().get(), dims, desc_);
  const memory y_diff = top_diff_.Read(
      top[0]->diff().get(), dims, backward_desc_.diff_dst_desc());
  SyncedMemory* bottom_diff = bottom[0]->diff().get();
  const memory x_diff = bottom_diff_.Begin(
      bottom_diff, dims, backward_desc_.diff_src_desc());
  onednn::Execute(backward_, {{DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_DST, y_diff},
                              {DNNL_ARG_DIFF_SRC, x_diff},
                              {DNNL_ARG_WORKSPACE, workspace_}});
  bottom_diff_.End(bottom_diff);
}

}  // namespace caffe
