#include "caffe/util/onednn.hpp"

#include "caffe/util/math_functions.hpp"

namespace caffe {
namespace onednn {

dnnl::engine& Engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& Stream() {
  static thread_local dnnl::stream stream(Engine());
  return stream;
}

Type FactorType(const LayerParameter& param) {
  if (!param.bfloat16()) { return kFloat; }
  const int wanted = static_cast<int>(dnnl::cpu_isa::avx512_core_bf16);
  const int present = static_cast<int>(dnnl::get_effective_cpu_isa());
  if ((present & wanted) == wanted) { return Type::bf16; }
  LOG(WARNING) << "layer " << param.name() << ": bfloat16 is left out, since "
      << "this processor has no AVX512_BF16; it computes in float32";
  return kFloat;
}

static Desc MakeDesc(const dnnl::memory::dims& dims, bool any, Type type) {
  typedef dnnl::memory::format_tag Tag;
  static const Tag tags[] = {Tag::a, Tag::ab, Tag::abc, Tag::abcd, Tag::abcde,
                             Tag::abcdef};
  CHECK(!dims.empty() && dims.size() <= 6);
  return Desc(dims, type, any ? Tag::any : tags[dims.size() - 1]);
}

Desc AnyDesc(const dnnl::memory::dims& dims, Type type) {
  return MakeDesc(dims, true, type);
}

Desc PlainDesc(const dnnl::memory::dims& dims) {
  return MakeDesc(dims, false, kFloat);
}

Desc MatrixDesc(int rows, int columns, bool transposed, Type type) {
  typedef dnnl::memory::format_tag Tag;
  return Desc({rows, columns}, type, transposed ? Tag::ba : Tag::ab);
}

dnnl::memory::dims Dims(const Blob<float>& blob) {
  return dnnl::memory::dims(blob.shape().begin(), blob.shape().end());
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

dnnl::memory::dims FlatDims(const Blob<float>& blob, SyncedMemory* data) {
  const dnnl::memory::dims dims = Dims(blob);
  return Blocks(data, dims) ? dims : dnnl::memory::dims{blob.count()};
}

void Execute(const dnnl::primitive& primitive, const Arguments& arguments) {
  primitive.execute(Stream(), arguments);
  Stream().wait();
}

void Reorder(const dnnl::memory& from, const dnnl::memory& to) {
  dnnl::memory source(from), target(to);
  Execute(dnnl::reorder(source, target),
          {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, target}});
}

dnnl::memory Converter::Convert(SyncedMemory* values, const Desc& wanted) {
  Desc floats(wanted);
  floats.data.data_type = dnnl_f32;
  const dnnl::memory here(floats, Engine(),
                          const_cast<void*>(values->cpu_data()));
  if (wanted == floats) { return here; }
  if (!copy_ || copy_.get_desc() != wanted) {
    copy_ = dnnl::memory(wanted, Engine());
  } else if (version_ == values->version() && !values->exposed()) {
    return copy_;
  }
  Reorder(here, copy_);
  version_ = values->version();
  return copy_;
}

void Product::Prepare(const Desc& a, const Desc& b, const Desc& c, bool add,
                      bool bias) {
  if (primitive_ && a == a_ && b == b_ && c == c_ && add == add_ &&
      bias == bias_) {
    return;
  }
  a_ = a;
  b_ = b;
  c_ = c;
  add_ = add;
  bias_ = bias;
  dnnl::post_ops operations;
  if (add) { operations.append_sum(1.f); }
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(operations);
  typedef dnnl::matmul::desc Operation;
  const Operation operation = bias ?
      Operation(a, b, MatrixDesc(1, c.dims()[1], false), c) :
      Operation(a, b, c);
  primitive_ = dnnl::matmul(dnnl::matmul::primitive_desc(
      operation, attributes, Engine()));
}

void Product::Run(const dnnl::memory& a, const dnnl::memory& b, float* c,
                  const float* bias) const {
  Arguments arguments = {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b},
                         {DNNL_ARG_DST, dnnl::memory(c_, Engine(), c)}};
  if (bias_) {
    arguments[DNNL_ARG_BIAS] = dnnl::memory(
        MatrixDesc(1, c_.dims()[1], false), Engine(),
        const_cast<float*>(bias));
  }
  Execute(primitive_, arguments);
}

void Layout::CopyTo(void* plain) {
  Reorder(memory_,
          dnnl::memory(PlainDesc(memory_.get_desc().dims()), Engine(), plain));
}

dnnl::memory Here(SyncedMemory* data, const dnnl::memory::dims& dims) {
  if (const shared_ptr<Layout> layout = Blocks(data, dims)) {
    return layout->memory();
  }
  return dnnl::memory(PlainDesc(dims), Engine(),
                      const_cast<void*>(data->cpu_data()));
}

dnnl::memory Reader::Read(SyncedMemory* data, const dnnl::memory::dims& dims,
                          const Desc& wanted) {
  const dnnl::memory here = Here(data, dims);
  if (here.get_desc() == wanted) { return here; }
  if (!copy_ || copy_.get_desc() != wanted) {
    copy_ = dnnl::memory(wanted, Engine());
  }
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

dnnl::memory Writer::Begin(SyncedMemory* data, const dnnl::memory::dims& dims,
                           const Desc& layout) {
  plain_ = layout == PlainDesc(dims);
  if (plain_) {
    layout_.reset();
    return dnnl::memory(layout, Engine(), data->mutable_cpu_data());
  }
  if (!layout_ || layout_->memory().get_desc() != layout) {
    layout_.reset(new Layout(layout));
  }
  return layout_->memory();
}

void Writer::End(SyncedMemory* data) {
  if (!plain_) { data->set_private_data(layout_); }
}

dnnl::memory InPlaceWriter::Begin(SyncedMemory* data,
                                  const dnnl::memory::dims& dims) {
  const dnnl::memory here = Here(data, dims);
  if (here.get_desc() == PlainDesc(dims)) {
    layout_.reset();
    return dnnl::memory(here.get_desc(), Engine(), data->mutable_cpu_data());
  }
  layout_ = data->private_data();
  return here;
}

void InPlaceWriter::End(SyncedMemory* data) {
  if (layout_) { data->set_private_data(layout_); }
  layout_.reset();
}

dnnl::memory SavedInput::Save(SyncedMemory* data,
                              const dnnl::memory::dims& dims,
                              bool overwritten) {
  const dnnl::memory here = Here(data, dims);
  copied_ = overwritten;
  if (!overwritten) { return here; }
  if (Blocks(data, dims)) { return copy_ = here; }
  if (!copy_ || copy_.get_desc() != here.get_desc()) {
    copy_ = dnnl::memory(here.get_desc(), Engine());
  }
  Reorder(here, copy_);
  return copy_;
}

dnnl::memory SavedInput::Saved(SyncedMemory* data,
                               const dnnl::memory::dims& dims,
                               const Desc& layout) {
  return copied_ ? copy_ : reader_.Read(data, dims, layout);
}

void ElementwiseGradient::Begin(SyncedMemory* top, SyncedMemory* bottom,
                                const dnnl::memory::dims& dims,
                                const Desc& layout) {
  data_ = bottom;
  in_place_ = top == bottom && Here(top, dims).get_desc() == layout;
  if (in_place_) {
    top_ = bottom_ = in_place_writer_.Begin(bottom, dims);
  } else {
    top_ = reader_.Read(top, dims, layout);
    bottom_ = writer_.Begin(bottom, dims, layout);
  }
}

void ElementwiseGradient::End() {
  if (in_place_) {
    in_place_writer_.End(data_);
  } else {
    writer_.End(data_);
  }
}

dnnl::memory Adder::Begin(Blob<float>* param, const dnnl::memory::dims& dims,
                          const Desc& layout) {
  param_ = param;
  overwrite_ = param && param->diff()->take_zero();
  if (param) {
    plain_ = dnnl::memory(PlainDesc(dims), Engine(), param->mutable_cpu_diff());
    if (overwrite_ && layout == plain_.get_desc()) { return target_ = plain_; }
  }
  if (!own_ || own_.get_desc() != layout) {
    own_ = dnnl::memory(layout, Engine());
  }
  return target_ = own_;
}

void Adder::End() {
  if (!param_ || target_ == plain_) { return; }
  if (overwrite_) { return Reorder(target_, plain_); }
  dnnl::memory sum(target_);
  if (target_.get_desc() != plain_.get_desc()) {
    sum = dnnl::memory(plain_.get_desc(), Engine());
    Reorder(target_, sum);
  }
  caffe_axpy(param_->count(), 1.f,
             static_cast<const float*>(sum.get_data_handle()),
             static_cast<float*>(plain_.get_data_handle()));
}

}  // namespace onednn
}  // namespace caffe
