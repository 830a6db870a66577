#include "caffe/util/channel_fusion.hpp"

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
  *shape = Channels();
  shape->num = dims[0];
  shape->pixels = dims[2] * dims[3];
  // From one image, channel or block of channels, line, pixel to the next.
  const int64_t* strides = blocking.strides;
  shape->block = blocking.inner_nblks ? blocking.inner_blks[0] : 1;
  shape->blocks = desc.data.padded_dims[1] / shape->block;
  const int64_t run = static_cast<int64_t>(shape->pixels) * shape->block;
  if ((shape->block == 1 || shape->block == 8 || shape->block == 16) &&
      strides[0] == shape->blocks * run && strides[1] == run &&
      strides[2] == dims[3] * shape->block && strides[3] == shape->block) {
    return true;
  }
  // A pixel's channels beside each other, as oneDNN has them for AMX.
  shape->row = dims[1];
  shape->block = Channels::kLanes;
  shape->blocks = (shape->row - 1) / shape->block + 1;
  return blocking.inner_nblks == 0 && strides[1] == 1 &&
      strides[0] == static_cast<int64_t>(shape->pixels) * shape->row &&
      strides[2] == dims[3] * shape->row && strides[3] == shape->row;
}

vector<float> PaddedChannels(const Channels& shape, const float* values,
                             int count) {
  vector<float> padded(shape.padded());
  std::copy(values, values + count, padded.begin());
  return padded;
}

PendingScale::PendingScale(const shared_ptr<Layout>& x, const Channels& shape,
                           const shared_ptr<LayoutMemory>& memory)
    : x(x), x_desc(x->memory().get_desc()), shape(shape),
      scale(shape.padded()), shift(shape.padded()), memory(memory) {}

shared_ptr<Layout> PendingScale::Compute(bool again) {
  const shared_ptr<Layout> values = memory->Take(x_desc, NULL);
  ChannelScale(shape, scale, shift, Values(x->memory()),
               Values(values->memory()));
  return values;
}

PendingGradient::PendingGradient(const shared_ptr<Layout>& diff,
                                 const Channels& shape)
    : diff(diff), diff_desc(diff->memory().get_desc()), shape(shape), slope(0),
      scale(shape.padded(), 1) {}

ReLUGradient PendingGradient::gradient() const {
  return {Values(diff->memory()), top ? Values(top->memory()) : NULL, slope};
}

shared_ptr<Layout> PendingGradient::Compute(bool again) {
  // Nobody else needs the gradient that this is made of: it lay in the same
  // blob.
  const shared_ptr<Layout> values = again || diff.use_count() > 1 ?
      shared_ptr<Layout>(new Layout(diff_desc)) : diff;
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
    top_.reset();
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
  ChannelSums(shape_, gradient(), input.scale, input.shift,
              Values(input.x->memory()), sum, product);
  for (int c = 0; c < shape_.padded(); ++c) {
    (*sum)[c] *= scale_[c];
    (*product)[c] *= scale_[c];
  }
}

}  // namespace onednn
}  // namespace caffe
