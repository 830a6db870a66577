#ifndef CAFFE_SYNCEDMEM_HPP_
#define CAFFE_SYNCEDMEM_HPP_

#include <cstdint>

#include "caffe/common.hpp"

namespace caffe {

/**
 * @brief Values in a layout that is not Caffe's row-major one, which layers
 *        of one engine hand to each other.
 */
class PrivateData {
 public:
  virtual ~PrivateData() {}
  /// Writes the values as Caffe has them.
  virtual void CopyTo(void* plain) = 0;
};

/**
 * @brief The memory of a blob, on the CPU, on the GPU or on both, whichever was
 *        asked for, with the newest values where they are asked for.
 *
 * This file of ours replaces Caffe's of the same name; to all of Caffe it is
 * what that was. Beyond it, values may be put off: they can lie in a layout of
 * an engine's (set_private_data), or be zeros that nobody has written yet
 * (set_zero), until somebody asks for memory. Somebody who keeps a pointer to
 * the CPU's memory sees no such call, so a blob can be `exposed`: then nothing
 * is put off, and what he may have written is looked at each time.
 */
class SyncedMemory {
 public:
  explicit SyncedMemory(size_t size = 0);
  ~SyncedMemory();

  /// For reading. Memory that nobody has written yet is zero.
  const void* cpu_data();
  const void* gpu_data();
  /// For writing, until the other side is asked for.
  void* mutable_cpu_data();
  void* mutable_gpu_data();
  /// Memory of the caller's, with the values in it. What he keeps a pointer to
  /// is exposed, if it is the CPU's.
  void set_cpu_data(void* data);
  void set_gpu_data(void* data);

  /// Where the newest values are.
  enum SyncedHead { UNINITIALIZED, HEAD_AT_CPU, HEAD_AT_GPU, SYNCED };
  SyncedHead head() { Settle(); return head_; }
  size_t size() const { return size_; }

  /// The values are now these; memory of the CPU and GPU follows when it is
  /// asked for.
  void set_private_data(const shared_ptr<PrivateData>& data);
  /// NULL where the values have been written otherwise since.
  const shared_ptr<PrivateData>& private_data() const { return private_data_; }
  /// All values are now zero; memory is cleared when it is asked for.
  void set_zero();
  /// Whether all values are zero and not yet cleared. They will not be: the
  /// caller writes all of them.
  bool take_zero();
  /// Somebody keeps the pointer to the CPU's memory (a NumPy array): from now
  /// on nothing is put off, and the GPU gets a new copy whenever it is asked
  /// for, unless the newest values are its own.
  void set_exposed();
  bool exposed() const { return exposed_; }
  /// Another number, never used before, each time that values may have changed,
  /// but for a blob that is exposed.
  uint64_t version() const { return version_; }

#ifndef CPU_ONLY
  /// Begins to copy from the CPU to the GPU; the caller waits for the stream.
  void async_gpu_push(const cudaStream_t& stream);
#endif

 private:
  void AllocateCPU();
  void FreeCPU();
  void ToCPU();
  /// Does what was put off.
  void Settle();
  /// The values are others now, in the CPU's or the GPU's memory.
  void Change(SyncedHead head);
#ifndef CPU_ONLY
  void AllocateGPU();
  void FreeGPU();
  void ToGPU();
#endif

  void* cpu_ptr_;
  void* gpu_ptr_;
  const size_t size_;
  SyncedHead head_;
  bool own_cpu_data_;
  bool pinned_;  // own memory of the CPU's, by cudaMallocHost
  bool own_gpu_data_;
  shared_ptr<PrivateData> private_data_;
  bool private_only_;  // memory of the CPU and GPU is older
  bool zero_;
  bool exposed_;
  uint64_t version_;

  DISABLE_COPY_AND_ASSIGN(SyncedMemory);
};

}  // namespace caffe

#endif  // CAFFE_SYNCEDMEM_HPP_
