#ifndef CAFFE_UTIL_ONEDNN_HPP_
#define CAFFE_UTIL_ONEDNN_HPP_

#include <unordered_map>
#include <vector>

#include "dnnl.hpp"

#include "caffe/blob.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/syncedmem.hpp"

namespace caffe {

/**
 * What layers that compute with oneDNN share: an engine, a stream, and blobs
 * whose values lie in one of oneDNN's layouts (in blocks of 16 channels, say)
 * from one such layer to the next.
 */
namespace onednn {

typedef dnnl::memory::desc Desc;

dnnl::engine& Engine();
dnnl::stream& Stream();

typedef dnnl::memory::data_type Type;
const Type kFloat = Type::f32;

/// What `bfloat16: true` in a layer comes to on this processor: kFloat, with a
/// warning, where it cannot multiply such numbers.
Type FactorType(const LayerParameter& param);

/// Any layout at all: oneDNN chooses.
Desc AnyDesc(const dnnl::memory::dims& dims, Type type = kFloat);
/// The layout of a blob: row-major, as Caffe has it.
Desc PlainDesc(const dnnl::memory::dims& dims);
/// A row-major matrix, or one that lies transposed.
Desc MatrixDesc(int rows, int columns, bool transposed, Type type = kFloat);
dnnl::memory::dims Dims(const Blob<float>& blob);
/// The same where the blob's values, given as `data`, lie in blocks; all of
/// them in one row where they do not, for what goes element by element.
dnnl::memory::dims FlatDims(const Blob<float>& blob, SyncedMemory* data);

typedef std::unordered_map<int, dnnl::memory> Arguments;
void Execute(const dnnl::primitive& primitive, const Arguments& arguments);
void Reorder(const dnnl::memory& from, const dnnl::memory& to);

/// The same memory, described otherwise.
inline dnnl::memory As(const dnnl::memory& memory, const Desc& desc) {
  return dnnl::memory(desc, Engine(), memory.get_data_handle());
}

/// A blob's data or diff, row-major, in a given type; holds the copy where it
/// is another, and gives it again while the values are the same.
class Converter {
 public:
  Converter() : version_(0) {}
  dnnl::memory Convert(SyncedMemory* values, const Desc& wanted);

 private:
  dnnl::memory copy_;
  uint64_t version_;  // of the values that copy_ is of
};

/// C = A B, or C += A B, with a bias to each row if asked for. Sums are float.
class Product {
 public:
  void Prepare(const Desc& a, const Desc& b, const Desc& c, bool add,
               bool bias = false);
  void Run(const dnnl::memory& a, const dnnl::memory& b, float* c,
           const float* bias = NULL) const;

 private:
  dnnl::matmul primitive_;
  Desc a_, b_, c_;
  bool add_, bias_;
};

/// Values in a layout of oneDNN's.
class Layout : public PrivateData {
 public:
  explicit Layout(const Desc& desc) : memory_(desc, Engine()) {}
  virtual void CopyTo(void* plain);
  const dnnl::memory& memory() const { return memory_; }

 private:
  dnnl::memory memory_;
};

/// Values that are computed when somebody asks for them; a layer that would
/// only scale or mask them takes what they are made of instead.
class Pending : public PrivateData {
 public:
  virtual void CopyTo(void* plain) { Compute(true)->CopyTo(plain); }
  virtual const Desc& desc() const = 0;
  /// The values; `again`: it may be asked for once more.
  virtual shared_ptr<Layout> Compute(bool again) = 0;
};

/// What is pending for `data`, if it is a T of these dimensions.
template <typename T>
shared_ptr<T> PendingOf(const SyncedMemory& data,
                        const dnnl::memory::dims& dims) {
  const shared_ptr<T> found =
      boost::dynamic_pointer_cast<T>(data.private_data());
  return found && found->desc().dims() == dims ? found : shared_ptr<T>();
}

/// The layout in which `data` lies, if it is not Caffe's own; what is pending
/// has been computed then.
shared_ptr<Layout> Blocks(SyncedMemory* data, const dnnl::memory::dims& dims);

/// Where `data`, a blob's data or diff of the given dimensions, lies now.
dnnl::memory Here(SyncedMemory* data, const dnnl::memory::dims& dims);

/// The values of that memory, row-major or in blocks, and how many they are
/// with what fills up the last block of channels (zeros).
inline float* Values(const dnnl::memory& memory) {
  return static_cast<float*>(memory.get_data_handle());
}
inline int Count(const dnnl::memory& memory) {
  return memory.get_desc().get_size() / sizeof(float);
}

/// Reads a blob in a given layout; holds the copy where it lies in another.
class Reader {
 public:
  Reader() : version_(0) {}
  dnnl::memory Read(SyncedMemory* data, const dnnl::memory::dims& dims,
                    const Desc& wanted);
  /// The same, of a blob that only changes by calls: where none has been since
  /// the last time, the copy is still good.
  dnnl::memory ReadAgain(SyncedMemory* data, const dnnl::memory::dims& dims,
                         const Desc& wanted);

 private:
  dnnl::memory copy_;
  uint64_t version_;  // of the data that copy_ is of
};

/// Writes a blob in a given layout: Begin, the primitive, End.
class Writer {
 public:
  dnnl::memory Begin(SyncedMemory* data, const dnnl::memory::dims& dims,
                     const Desc& layout);
  void End(SyncedMemory* data);

 private:
  shared_ptr<Layout> layout_;
  bool plain_;
};

/// Changes a blob where it lies: Begin, the work, End.
class InPlaceWriter {
 public:
  dnnl::memory Begin(SyncedMemory* data, const dnnl::memory::dims& dims);
  void End(SyncedMemory* data);

 private:
  shared_ptr<PrivateData> layout_;
};

/// The input of a layer that overwrites it and yet needs it for its gradient.
class SavedInput {
 public:
  /// `overwritten`: by the layer itself. Takes the blob's memory where it can,
  /// so that the layer has to write into other memory.
  dnnl::memory Save(SyncedMemory* data, const dnnl::memory::dims& dims,
                    bool overwritten);
  /// What was saved, or the blob where that is still the input; in the layout
  /// that it had, wherever somebody has looked at it since.
  dnnl::memory Saved(SyncedMemory* data, const dnnl::memory::dims& dims,
                     const Desc& layout);

 private:
  dnnl::memory copy_;
  Reader reader_;
  bool copied_;
};

/// The gradients of a layer that goes element by element, both in one layout;
/// in place where the layer is: Begin, the work, End.
class ElementwiseGradient {
 public:
  void Begin(SyncedMemory* top, SyncedMemory* bottom,
             const dnnl::memory::dims& dims, const Desc& layout);
  void End();
  const dnnl::memory& top() const { return top_; }
  const dnnl::memory& bottom() const { return bottom_; }

 private:
  SyncedMemory* data_;
  bool in_place_;
  dnnl::memory top_, bottom_;
  InPlaceWriter in_place_writer_;
  Reader reader_;
  Writer writer_;
};

/// Adds to the gradient of a parameter: Begin, the primitive, End. With NULL
/// for the parameter what the primitive writes is thrown away.
class Adder {
 public:
  Adder() : param_(NULL) {}
  dnnl::memory Begin(Blob<float>* param, const dnnl::memory::dims& dims,
                     const Desc& layout);
  void End();

 private:
  Blob<float>* param_;
  dnnl::memory own_;     // in the primitive's layout, where it has to be
  dnnl::memory target_;  // where the primitive writes
  dnnl::memory plain_;   // the parameter's gradient
  bool overwrite_;       // it was zero
};

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_UTIL_ONEDNN_HPP_
