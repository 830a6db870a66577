#ifndef CAFFE_UTIL_ONEDNN_BLOBS_HPP_
#define CAFFE_UTIL_ONEDNN_BLOBS_HPP_

#include <boost/weak_ptr.hpp>

#include "caffe/blob.hpp"
#include "caffe/syncedmem.hpp"
#include "caffe/util/onednn.hpp"

namespace caffe {

// Blobs whose values lie in one of oneDNN's layouts (in blocks of 16 channels,
// say) from one layer to the next. `data` below is a blob's data or diff, and
// `dims` are the blob's dimensions.
namespace onednn {

/// Values in a layout of oneDNN's. Whoever holds one has its values for as long
/// as he does: LayoutMemory and InPlaceWriter see by the count of the
/// shared_ptr that somebody holds it, and write elsewhere.
class Layout : public PrivateData {
 public:
  explicit Layout(const Desc& desc) : memory_(Allocate(desc)) {}
  explicit Layout(const dnnl::memory& memory) : memory_(memory) {}
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
  virtual bool IsMadeOf(const Layout& layout) const = 0;
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

/// Where `data` lies now.
dnnl::memory Here(SyncedMemory* data, const dnnl::memory::dims& dims);

/// The dimensions of a blob where its values, given as `data`, lie in blocks;
/// all of them in one row where they do not, for what goes element by element.
dnnl::memory::dims FlatDims(const Blob<float>& blob, SyncedMemory* data);

/// Whether more than half of a layout is what fills up blocks of channels, as
/// where few channels lie in blocks of 16. No blob stays in one, and no copy is
/// kept: such memory is there while a primitive runs.
bool IsMostlyFilling(const Desc& desc);

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

/// The memory that a layer writes a layout into, the same in every pass unless
/// somebody holds what is in it.
class LayoutMemory {
 public:
  /// To be written for `data`, whose values in it, if they are, are over.
  shared_ptr<Layout> Take(const Desc& desc, const SyncedMemory* data);

 private:
  dnnl::memory memory_;
  boost::weak_ptr<Layout> last_;
};

/// Writes a blob in a given layout: Begin, the primitive, End.
class Writer {
 public:
  dnnl::memory Begin(SyncedMemory* data, const dnnl::memory::dims& dims,
                     const Desc& layout);
  void End(SyncedMemory* data);

 private:
  LayoutMemory memory_;
  shared_ptr<Layout> layout_;  // between Begin and End; NULL: Caffe's own
};

/// Changes a blob where it lies: Begin, the work, End.
class InPlaceWriter {
 public:
  dnnl::memory Begin(SyncedMemory* data, const dnnl::memory::dims& dims);
  void End(SyncedMemory* data);

 private:
  shared_ptr<Layout> layout_;
};

/// The input of a layer that needs it for its gradient, when the blob may have
/// been overwritten: its layout, or a copy where it lies in Caffe's own.
class InputSaver {
 public:
  shared_ptr<Layout> Save(SyncedMemory* data, const dnnl::memory::dims& dims);

 private:
  LayoutMemory copy_;
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

#endif  // CAFFE_UTIL_ONEDNN_BLOBS_HPP_
