#include "caffe/util/onednn_pending.hpp"

#include <algorithm>
#include <vector>

namespace caffe {
namespace onednn {

using dnnl::memory;

bool SetChannels(const Desc& desc, Channels* shape) {
  const dnnl_blocking_desc_t& blocking = desc.data.format_desc.blocking;
  const memory::dims dims = desc.dims();
  if (desc.data.format_kind != dnnl_blocked || blocking.inner_nblks > 1 ||
      (blocking.inner_nblks == 1 && blocking.inner_idxs[0] != 1)) {
    return false;
  }
  shape->num = dims[0];
  shape->block = blocking.inner_nblks ? blocking.inner_blks[0] : 1;
  shape->blocks = desc.data.padded_dims[1] / shape->block;
  shape->pixels = dims[2] * dims[3];
  const int64_t run = static_cast<int64_t>(shape->pixels) * shape->block;
  return (shape->block == 1 || shape->block == 8 || shape->block == 16) &&
      blocking.strides[0] == shape->blocks * run &&
      blocking.strides[1] == run &&
      blocking.strides[2] == dims[3] * shape->block &&
      blocking.strides[3] == shape->block;
}

vector<float> PaddedChannels(const Channels& shape, const float* values,
                             int count) {
  vector<float> padded(shape.padded());
  std::copy(values, values + count, padded.begin());
  return padded;
}

void PendingScale::Set(const memory& new_x, const Channels& new_shape) {
  x = new_x;
  x_desc = x.get_desc();
  shape = new_shape;
}

shared_ptr<Layout> PendingScale::Compute(bool again) {
  if (!values || values->memory().get_desc() != x_desc) {
    values.reset(new Layout(x_desc));
  }
  ChannelScale(shape, scale, shift, Values(x), Values(values->memory()));
  return values;
}

void PendingGradient::Set(const shared_ptr<Layout>& new_diff,
                          const Channels& new_shape) {
  diff = new_diff;
  diff_desc = diff->memory().get_desc();
  shape = new_shape;
  top = memory();
  input.reset();
}

ReLUGradient PendingGradient::gradient() const {
  return {Values(diff->memory()), top ? Values(top) : NULL, slope};
}

shared_ptr<Layout> PendingGradient::Compute(bool again) {
  // Nobody else needs the gradient that this is made of: it lay in the same
  // blob.
  const shared_ptr<Layout> values =
      again ? shared_ptr<Layout>(new Layout(diff_desc)) : diff;
  ChannelGradient(shape, gradient(), scale, Values(values->memory()));
  return values;
}

void IncomingGradient::Take(SyncedMemory* diff, const memory::dims& dims,
                            const Channels& shape, const Desc& desc,
                            Reader* reader) {
  shape_ = shape;
  pending_ = PendingOf<PendingGradient>(*diff, dims);
  if (pending_ && pending_->desc() == desc) {
    layout_ = pending_->diff;
    top_ = pending_->top;
    slope_ = pending_->slope;
    scale_ = pending_->scale;
  } else {
    pending_.reset();
    layout_ = Blocks(diff, dims);
    if (layout_ && layout_->memory().get_desc() != desc) { layout_.reset(); }
    top_ = memory();
    slope_ = 0;
    scale_.assign(shape.padded(), 1);
  }
  diff_ = layout_ ? layout_->memory() : reader->Read(diff, dims, desc);
}

void IncomingGradient::Sums(const PendingScale& input, vector<float>* sum,
                            vector<float>* product) const {
  if (pending_ && pending_->input.get() == &input) {
    *sum = pending_->sum;
    *product = pending_->product;
    return;
  }
  ChannelSums(shape_, gradient(), input.scale, input.shift, Values(input.x),
              sum, product);
  for (int c = 0; c < shape_.padded(); ++c) {
    (*sum)[c] *= scale_[c];
    (*product)[c] *= scale_[c];
  }
}

}  // namespace onednn
}  // namespace caffe
