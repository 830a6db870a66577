#include "caffe/util/onednn.hpp"

#include <cstdlib>

#include "dnnl_debug.h"

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

void Fail(const dnnl::error& error) {
  LOG(FATAL) << "oneDNN: " << error.what() << " ("
      << dnnl_status2str(error.status) << ")";
  abort();  // LOG(FATAL) does not come back
}

static bool Knows(int isa, dnnl::cpu_isa wanted) {
  return (isa & static_cast<int>(wanted)) == static_cast<int>(wanted);
}

bool GainsByBfloat16(int isa, bool amd) {
  return Knows(isa, amd ? dnnl::cpu_isa::avx512_core_bf16 :
                          dnnl::cpu_isa::avx512_core_amx);
}

Type FactorType(const LayerParameter& param) {
  if (!param.bfloat16()) { return kFloat; }
  const int isa = static_cast<int>(dnnl::get_effective_cpu_isa());
#ifdef __x86_64__
  const bool amd = __builtin_cpu_is("amd");
#else
  const bool amd = false;
#endif
  if (GainsByBfloat16(isa, amd)) { return Type::bf16; }
  LOG(WARNING) << "layer " << param.name() << ": bfloat16 is left out, since "
      << (Knows(isa, dnnl::cpu_isa::avx512_core_bf16) ?
          "Intel's processors are faster with float where they have no AMX" :
          "this processor has no AVX512_BF16") << "; it computes in float32";
  return kFloat;
}

static Desc MakeDesc(const dnnl::memory::dims& dims, bool any, Type type) {
  typedef dnnl::memory::format_tag Tag;
  static const Tag tags[] = {Tag::a, Tag::ab, Tag::abc, Tag::abcd, Tag::abcde,
                             Tag::abcdef};
  CHECK(!dims.empty() && dims.size() <= 6);
  return Make<Desc>(dims, type, any ? Tag::any : tags[dims.size() - 1]);
}

Desc AnyDesc(const dnnl::memory::dims& dims, Type type) {
  return MakeDesc(dims, true, type);
}

Desc PlainDesc(const dnnl::memory::dims& dims) {
  return MakeDesc(dims, false, kFloat);
}

Desc MatrixDesc(int rows, int columns, bool transposed, Type type) {
  typedef dnnl::memory::format_tag Tag;
  const dnnl::memory::dims dims = {rows, columns};
  return Make<Desc>(dims, type, transposed ? Tag::ba : Tag::ab);
}

dnnl::memory::dims Dims(const Blob<float>& blob) {
  return dnnl::memory::dims(blob.shape().begin(), blob.shape().end());
}

void Execute(const dnnl::primitive& primitive, const Arguments& arguments) {
  try {
    primitive.execute(Stream(), arguments);
    Stream().wait();
  } catch (const dnnl::error& error) {
    Fail(error);
  }
}

void Reorder(const dnnl::memory& from, const dnnl::memory& to) {
  dnnl::memory source(from), target(to);
  Execute(Make<dnnl::reorder>(source, target),
          {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, target}});
}

}  // namespace onednn
}  // namespace caffe
