#ifndef CAFFE_UTIL_ONEDNN_HPP_
#define CAFFE_UTIL_ONEDNN_HPP_

#include <unordered_map>

#include "dnnl.hpp"

#include "caffe/blob.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * What layers that compute with oneDNN share: an engine, a stream, descriptions
 * of memory, and what becomes of its errors. Their blobs: util/onednn_blobs.hpp;
 * matrix products: util/onednn_product.hpp.
 */
namespace onednn {

typedef dnnl::memory::desc Desc;

dnnl::engine& Engine();
dnnl::stream& Stream();

/// Ends the program as a failed CHECK does, with what oneDNN says.
__attribute__((noreturn)) void Fail(const dnnl::error& error);

/// A Made of these parts. oneDNN reports what it cannot make by exceptions, of
/// which Caffe knows nothing.
template <typename Made, typename... Parts>
Made Make(const Parts&... parts) {
  try {
    return Made(parts...);
  } catch (const dnnl::error& error) {
    Fail(error);
  }
}

typedef dnnl::memory::data_type Type;
const Type kFloat = Type::f32;

/// Whether rounding to bfloat16 makes products faster on a processor for which
/// oneDNN uses these instructions (dnnl::cpu_isa): AMD's multiply such numbers
/// twice as fast as floats by AVX512_BF16, Intel's only by AMX.
bool GainsByBfloat16(int isa, bool amd);
/// What `bfloat16: true` in a layer comes to on this processor: kFloat, with a
/// warning, where it gains nothing by it.
Type FactorType(const LayerParameter& param);

/// Any layout at all: oneDNN chooses.
Desc AnyDesc(const dnnl::memory::dims& dims, Type type = kFloat);
/// The layout of a blob: row-major, as Caffe has it.
Desc PlainDesc(const dnnl::memory::dims& dims);
/// A row-major matrix, or one that lies transposed.
Desc MatrixDesc(int rows, int columns, bool transposed, Type type = kFloat);
dnnl::memory::dims Dims(const Blob<float>& blob);

/// Memory of its own.
inline dnnl::memory Allocate(const Desc& desc) {
  return Make<dnnl::memory>(desc, Engine());
}
/// The same memory, described otherwise.
inline dnnl::memory As(const dnnl::memory& memory, const Desc& desc) {
  return dnnl::memory(desc, Engine(), memory.get_data_handle());
}
inline float* Values(const dnnl::memory& memory) {
  return static_cast<float*>(memory.get_data_handle());
}
/// How many floats they are, with what fills up the last block of channels
/// (zeros): more than an int holds, perhaps, where the blob's count() is not.
inline int64_t Count(const dnnl::memory& memory) {
  return memory.get_desc().get_size() / sizeof(float);
}

typedef std::unordered_map<int, dnnl::memory> Arguments;
void Execute(const dnnl::primitive& primitive, const Arguments& arguments);
void Reorder(const dnnl::memory& from, const dnnl::memory& to);

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_UTIL_ONEDNN_HPP_
