#include "caffe/util/onednn_blobs.hpp"

#include "caffe/util/math_functions.hpp"

namespace caffe {
namespace onednn {

void Layout::CopyTo(void* plain) {
  Reorder(memory_,
          dnnl::memory(PlainDesc(memory_.get_desc().dims()), Engine(), plain));
}

shared_ptr<Layout> Blocks(SyncedMemory* data,
                          const dnnl::memory::dims& dims) {
  if (const shared_ptr<Pending> pending = PendingOf<Pending>(*data, dims)) {
    data->set_private_data(pending->Compute(false));
  }
  const shared_ptr<Layout> layout =
      boost::dynamic_pointer_cast<Layout>(data->private_data());
  // A layer between may have given the same values another shape.
  return layout && layout->memory().get_desc().dims() == dims ? layout :
      shared_ptr<Layout>();
}

dnnl::memory Here(SyncedMemory* data, const dnnl::memory::dims& dims) {
  if (const shared_ptr<Layout> layout = Blocks(data, dims)) {
    return layout->memory();
  }
  return dnnl::memory(PlainDesc(dims), Engine(),
                      const_cast<void*>(data->cpu_data()));
}

dnnl::memory::dims FlatDims(const Blob<float>& blob, SyncedMemory* data) {
  const dnnl::memory::dims dims = Dims(blob);
  return Blocks(data, dims) ? dims : dnnl::memory::dims{blob.count()};
}

bool IsMostlyFilling(const Desc& desc) {
  int64_t count = 1;
  for (const int64_t dim : desc.dims()) { count *= dim; }
  const int64_t size = dnnl::memory::data_type_size(desc.data_type());
  return static_cast<int64_t>(desc.get_size()) > 2 * count * size;
}

dnnl::memory Reader::Read(SyncedMemory* data, const dnnl::memory::dims& dims,
                          const Desc& wanted) {
  const dnnl::memory here = Here(data, dims);
  if (here.get_desc() == wanted) { return here; }
  if (IsMostlyFilling(wanted)) {
    copy_ = dnnl::memory();
    const dnnl::memory copy = Allocate(wanted);
    Reorder(here, copy);
    return copy;
  }
  if (!copy_ || copy_.get_desc() != wanted) { copy_ = Allocate(wanted); }
  Reorder(here, copy_);
  version_ = data->version();
  return copy_;
}

dnnl::memory Reader::ReadAgain(SyncedMemory* data,
                               const dnnl::memory::dims& dims,
                               const Desc& wanted) {
  if (copy_ && version_ == data->version() && !data->exposed() &&
      copy_.get_desc() == wanted) {
    return copy_;
  }
  return Read(data, dims, wanted);
}

// Whether the values of `data` are these, or are made of them for nobody else.
static bool HoldsAlone(const SyncedMemory* data,
                       const shared_ptr<Layout>& layout) {
  if (!data || !layout) { return false; }
  if (data->private_data() == layout) { return true; }
  const shared_ptr<Pending> pending =
      boost::dynamic_pointer_cast<Pending>(data->private_data());
  return pending && pending.use_count() == 2 && pending->IsMadeOf(*layout);
}

shared_ptr<Layout> LayoutMemory::Take(const Desc& desc,
                                      const SyncedMemory* data) {
  const shared_ptr<Layout> last = last_.lock();
  if (!memory_ || memory_.get_desc() != desc ||
      // Held by this function, and by the blob that is to be written.
      (last && last.use_count() > 1 + HoldsAlone(data, last))) {
    memory_ = Allocate(desc);
  }
  const shared_ptr<Layout> taken(new Layout(memory_));
  last_ = taken;
  return taken;
}

dnnl::memory Writer::Begin(SyncedMemory* data, const dnnl::memory::dims& dims,
                           const Desc& layout) {
  if (layout == PlainDesc(dims)) {
    return dnnl::memory(layout, Engine(), data->mutable_cpu_data());
  }
  layout_ = IsMostlyFilling(layout) ?
      shared_ptr<Layout>(new Layout(layout)) : memory_.Take(layout, data);
  return layout_->memory();
}

void Writer::End(SyncedMemory* data) {
  if (layout_ && IsMostlyFilling(layout_->memory().get_desc())) {
    layout_->CopyTo(data->mutable_cpu_data());
  } else if (layout_) {
    data->set_private_data(layout_);
  }
  layout_.reset();
}

dnnl::memory InPlaceWriter::Begin(SyncedMemory* data,
                                  const dnnl::memory::dims& dims) {
  layout_ = Blocks(data, dims);
  if (!layout_) {
    return dnnl::memory(PlainDesc(dims), Engine(), data->mutable_cpu_data());
  }
  // The blob's and this one.
  if (layout_.use_count() > 2) {
    const shared_ptr<Layout> copy(new Layout(layout_->memory().get_desc()));
    Reorder(layout_->memory(), copy->memory());
    layout_ = copy;
  }
  return layout_->memory();
}

void InPlaceWriter::End(SyncedMemory* data) {
  if (layout_) { data->set_private_data(layout_); }
  layout_.reset();
}

shared_ptr<Layout> InputSaver::Save(SyncedMemory* data,
                                    const dnnl::memory::dims& dims) {
  if (const shared_ptr<Layout> layout = Blocks(data, dims)) { return layout; }
  const shared_ptr<Layout> copy = copy_.Take(PlainDesc(dims), NULL);
  Reorder(Here(data, dims), copy->memory());
  return copy;
}

dnnl::memory Adder::Begin(Blob<float>* param, const dnnl::memory::dims& dims,
                          const Desc& layout) {
  param_ = param;
  overwrite_ = param && param->diff()->take_zero();
  if (param) {
    plain_ = dnnl::memory(PlainDesc(dims), Engine(), param->mutable_cpu_diff());
    if (overwrite_ && layout == plain_.get_desc()) { return target_ = plain_; }
  }
  if (!own_ || own_.get_desc() != layout) { own_ = Allocate(layout); }
  return target_ = own_;
}

void Adder::End() {
  if (!param_ || target_ == plain_) { return; }
  if (overwrite_) { return Reorder(target_, plain_); }
  dnnl::memory sum(target_);
  if (target_.get_desc() != plain_.get_desc()) {
    sum = Allocate(plain_.get_desc());
    Reorder(target_, sum);
  }
  caffe_axpy(param_->count(), 1.f, Values(sum), Values(plain_));
}

}  // namespace onednn
}  // namespace caffe
