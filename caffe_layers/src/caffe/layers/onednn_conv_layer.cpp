#include "caffe/layers/onednn_conv_layer.hpp"

#include <vector>

namespace caffe {

using dnnl::memory;
using onednn::AnyDesc;
using onednn::Arguments;
using onednn::Engine;
using onednn::Make;
using onednn::PlainDesc;
using onednn::kFloat;

static const dnnl::algorithm kDirect = dnnl::algorithm::convolution_direct;

bool OneDNNConvolutionLayer::Bfloat16IsRight(const memory::dims& bottom,
                                             const memory::dims& stride) {
  return bottom[2] >= stride[0] && bottom[3] >= stride[1];
}

bool OneDNNConvolutionLayer::Handles(const Blob<float>& bottom) const {
  return bottom.num_axes() == 4 && channel_axis_ == 1 && bottom.count() > 0 &&
      !force_nd_im2col_;
}

void OneDNNConvolutionLayer::Reshape(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  ConvolutionLayer<float>::Reshape(bottom, top);
  if (!Handles(*bottom[0])) { return; }
  const memory::dims bottom_dims = onednn::Dims(*bottom[0]);
  if (bottom_dims == bottom_dims_) { return; }
  bottom_dims_ = bottom_dims;
  top_dims_ = onednn::Dims(*top[0]);
  PrepareForward();
  backward_prepared_ = false;
  bottom_data_.resize(bottom.size());
  top_diff_.resize(bottom.size());
  top_data_.resize(bottom.size());
  bottom_diff_.resize(bottom.size());
}

void OneDNNConvolutionLayer::PrepareForward() {
  const int* kernel = kernel_shape_.cpu_data();
  weight_dims_ = {num_output_, channels_ / group_, kernel[0], kernel[1]};
  if (group_ > 1) {
    weight_dims_[0] /= group_;
    weight_dims_.insert(weight_dims_.begin(), group_);
  }
  bias_dims_ = {num_output_};
  stride_dims_.assign(stride_.cpu_data(), stride_.cpu_data() + 2);
  pad_dims_.assign(pad_.cpu_data(), pad_.cpu_data() + 2);
  dilation_dims_ = {dilation_.cpu_data()[0] - 1, dilation_.cpu_data()[1] - 1};
  type_ = Bfloat16IsRight(bottom_dims_, stride_dims_) ? factor_type_ : kFloat;
  // Winograd's algorithm, too, where oneDNN expects it to be faster: 3 x 3 in
  // one group, forward.
  const dnnl::algorithm algorithm = dnnl::algorithm::convolution_auto;
  const dnnl::prop_kind kind = dnnl::prop_kind::forward_training;
  const onednn::Desc bottom = AnyDesc(bottom_dims_, type_);
  const onednn::Desc weight = AnyDesc(weight_dims_, type_);
  const onednn::Desc top = AnyDesc(top_dims_);
  typedef dnnl::convolution_forward::desc Operation;
  const Operation operation = bias_term_ ?
      Make<Operation>(kind, algorithm, bottom, weight, PlainDesc(bias_dims_),
                      top, stride_dims_, dilation_dims_, pad_dims_,
                      pad_dims_) :
      Make<Operation>(kind, algorithm, bottom, weight, top, stride_dims_,
                      dilation_dims_, pad_dims_, pad_dims_);
  forward_desc_ = Make<ForwardDesc>(operation, Engine());
  forward_ = Make<dnnl::convolution_forward>(forward_desc_);
}

void OneDNNConvolutionLayer::PrepareBackward() {
  const onednn::Desc bottom = AnyDesc(bottom_dims_, type_);
  const onednn::Desc weight = AnyDesc(weight_dims_, type_);
  const onednn::Desc top_diff = AnyDesc(top_dims_, type_);
  const onednn::Desc weight_diff = AnyDesc(weight_dims_);
  typedef dnnl::convolution_backward_weights::desc Weights;
  const Weights weights = bias_term_ ?
      Make<Weights>(kDirect, bottom, weight_diff, PlainDesc(bias_dims_),
                    top_diff, stride_dims_, dilation_dims_, pad_dims_,
                    pad_dims_) :
      Make<Weights>(kDirect, bottom, weight_diff, top_diff, stride_dims_,
                    dilation_dims_, pad_dims_, pad_dims_);
  weight_desc_ = Make<WeightDesc>(weights, Engine(), forward_desc_);
  backward_weight_ = Make<dnnl::convolution_backward_weights>(weight_desc_);
  data_desc_ = Make<DataDesc>(
      Make<dnnl::convolution_backward_data::desc>(
          kDirect, AnyDesc(bottom_dims_), weight, top_diff, stride_dims_,
          dilation_dims_, pad_dims_, pad_dims_),
      Engine(), forward_desc_);
  backward_data_ = Make<dnnl::convolution_backward_data>(data_desc_);
  backward_prepared_ = true;
}

// In training they change with every pass; elsewhere one copy serves them all.
memory OneDNNConvolutionLayer::ReadWeight(const onednn::Desc& desc) {
  SyncedMemory* data = blobs_[0]->data().get();
  return phase_ == TEST ? weight_.ReadAgain(data, weight_dims_, desc) :
      weight_.Read(data, weight_dims_, desc);
}

void OneDNNConvolutionLayer::Forward_cpu(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  if (!Handles(*bottom[0])) {
    return ConvolutionLayer<float>::Forward_cpu(bottom, top);
  }
  const ForwardDesc& desc = forward_desc_;
  Arguments arguments;
  arguments[DNNL_ARG_WEIGHTS] = ReadWeight(desc.weights_desc());
  if (bias_term_) {
    arguments[DNNL_ARG_BIAS] =
        onednn::Here(blobs_[1]->data().get(), bias_dims_);
  }
  for (int i = 0; i < bottom.size(); ++i) {
    arguments[DNNL_ARG_SRC] = bottom_data_[i].Read(
        bottom[i]->data().get(), bottom_dims_, desc.src_desc());
    arguments[DNNL_ARG_DST] = top_data_[i].Begin(
        top[i]->data().get(), top_dims_, desc.dst_desc());
    onednn::Execute(forward_, arguments);
    top_data_[i].End(top[i]->data().get());
  }
}

void OneDNNConvolutionLayer::Backward_cpu(const vector<Blob<float>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom) {
  if (!Handles(*bottom[0])) {
    return ConvolutionLayer<float>::Backward_cpu(top, propagate_down, bottom);
  }
  if (!backward_prepared_) { PrepareBackward(); }
  const bool bias = bias_term_ && param_propagate_down_[1];
  for (int i = 0; i < top.size(); ++i) {
    SyncedMemory* top_diff = top[i]->diff().get();
    const bool parameters = param_propagate_down_[0] || bias;
    if (parameters) {
      // oneDNN has both gradients in one primitive; the one that is not wanted
      // is thrown away.
      Arguments arguments;
      arguments[DNNL_ARG_SRC] = bottom_data_[i].ReadAgain(
          bottom[i]->data().get(), bottom_dims_, weight_desc_.src_desc());
      arguments[DNNL_ARG_DIFF_DST] = top_diff_[i].Read(
          top_diff, top_dims_, weight_desc_.diff_dst_desc());
      arguments[DNNL_ARG_DIFF_WEIGHTS] = weight_diff_.Begin(
          param_propagate_down_[0] ? blobs_[0].get() : NULL, weight_dims_,
          weight_desc_.diff_weights_desc());
      if (bias_term_) {
        arguments[DNNL_ARG_DIFF_BIAS] = bias_diff_.Begin(
            bias ? blobs_[1].get() : NULL, bias_dims_,
            weight_desc_.diff_bias_desc());
      }
      onednn::Execute(backward_weight_, arguments);
      weight_diff_.End();
      bias_diff_.End();
    }
    if (propagate_down[i]) {
      Arguments arguments;
      arguments[DNNL_ARG_WEIGHTS] = backward_weight_reader_.Read(
          blobs_[0]->data().get(), weight_dims_, data_desc_.weights_desc());
      // Another pass's copy need not be this one's gradient.
      arguments[DNNL_ARG_DIFF_DST] = parameters ?
          top_diff_[i].ReadAgain(top_diff, top_dims_,
                                 data_desc_.diff_dst_desc()) :
          top_diff_[i].Read(top_diff, top_dims_, data_desc_.diff_dst_desc());
      arguments[DNNL_ARG_DIFF_SRC] = bottom_diff_[i].Begin(
          bottom[i]->diff().get(), bottom_dims_, data_desc_.diff_src_desc());
      onednn::Execute(backward_data_, arguments);
      bottom_diff_[i].End(bottom[i]->diff().get());
    }
  }
}

}  // namespace caffe
