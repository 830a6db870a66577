#include "caffe/syncedmem.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace caffe {

static uint64_t NewVersion() {
  static std::atomic<uint64_t> versions(0);
  return ++versions;
}

SyncedMemory::SyncedMemory(size_t size)
    : cpu_ptr_(NULL), gpu_ptr_(NULL), size_(size), head_(UNINITIALIZED),
      own_cpu_data_(false), pinned_(false), own_gpu_data_(false),
      private_only_(false), zero_(false), exposed_(false), version_(0) {}

SyncedMemory::~SyncedMemory() {
  FreeCPU();
#ifndef CPU_ONLY
  FreeGPU();
#endif
}

void SyncedMemory::AllocateCPU() {
  if (cpu_ptr_) { return; }
  own_cpu_data_ = true;
#ifndef CPU_ONLY
  // Pinned memory is what GPUs copy from and to by themselves.
  if (Caffe::mode() == Caffe::GPU) {
    CUDA_CHECK(cudaMallocHost(&cpu_ptr_, size_));
    pinned_ = true;
    return;
  }
#endif
  // A vector of 16 floats that lies across two cache lines is slow to load.
  CHECK_EQ(0, posix_memalign(&cpu_ptr_, 64, size_ ? size_ : 1))
      << "There is no memory for " << size_ << " bytes of a blob";
}

void SyncedMemory::FreeCPU() {
  if (!cpu_ptr_ || !own_cpu_data_) { return; }
#ifndef CPU_ONLY
  if (pinned_) {
    CUDA_CHECK(cudaFreeHost(cpu_ptr_));
    pinned_ = false;
    return;
  }
#endif
  free(cpu_ptr_);
}

void SyncedMemory::Settle() {
  if (!private_only_ && !zero_) { return; }
  const bool first = cpu_ptr_ == NULL;
  AllocateCPU();
  // Values may be fewer than there is room for.
  if (zero_ || first) { memset(cpu_ptr_, 0, size_); }
  if (private_only_) { private_data_->CopyTo(cpu_ptr_); }
  private_only_ = zero_ = false;
  head_ = HEAD_AT_CPU;
}

void SyncedMemory::Change(SyncedHead head) {
  head_ = head;
  private_data_.reset();
  private_only_ = zero_ = false;
  version_ = NewVersion();
}

void SyncedMemory::set_private_data(const shared_ptr<PrivateData>& data) {
  zero_ = false;
  private_only_ = true;
  private_data_ = data;
  version_ = NewVersion();
  if (exposed_) { set_exposed(); }
}

void SyncedMemory::set_exposed() {
  Settle();
  private_data_.reset();
  exposed_ = true;
}

void SyncedMemory::set_zero() {
  Change(head_);
  zero_ = true;
  if (exposed_) { Settle(); }
}

bool SyncedMemory::take_zero() {
  const bool zero = zero_;
  if (zero) { Change(head_); }
  return zero;
}

void SyncedMemory::ToCPU() {
  Settle();
  if (head_ == UNINITIALIZED) {
    AllocateCPU();
    memset(cpu_ptr_, 0, size_);
    head_ = HEAD_AT_CPU;
  }
#ifndef CPU_ONLY
  if (head_ == HEAD_AT_GPU) {
    AllocateCPU();
    CUDA_CHECK(cudaMemcpy(cpu_ptr_, gpu_ptr_, size_, cudaMemcpyDefault));
    head_ = SYNCED;
  }
#endif
}

const void* SyncedMemory::cpu_data() {
  ToCPU();
  return cpu_ptr_;
}

void* SyncedMemory::mutable_cpu_data() {
  ToCPU();
  Change(HEAD_AT_CPU);
  return cpu_ptr_;
}

void SyncedMemory::set_cpu_data(void* data) {
  CHECK(data);
  FreeCPU();
  cpu_ptr_ = data;
  own_cpu_data_ = false;
  exposed_ = true;
  Change(HEAD_AT_CPU);
}

#ifndef CPU_ONLY

void SyncedMemory::AllocateGPU() {
  if (gpu_ptr_) { return; }
  CUDA_CHECK(cudaMalloc(&gpu_ptr_, size_));
  own_gpu_data_ = true;
}

void SyncedMemory::FreeGPU() {
  if (gpu_ptr_ && own_gpu_data_) { CUDA_CHECK(cudaFree(gpu_ptr_)); }
}

void SyncedMemory::ToGPU() {
  Settle();
  if (head_ == UNINITIALIZED) {
    AllocateGPU();
    CUDA_CHECK(cudaMemset(gpu_ptr_, 0, size_));
    head_ = HEAD_AT_GPU;
  } else if (head_ == HEAD_AT_CPU || (head_ == SYNCED && exposed_)) {
    AllocateGPU();
    CUDA_CHECK(cudaMemcpy(gpu_ptr_, cpu_ptr_, size_, cudaMemcpyDefault));
    head_ = SYNCED;
  }
}

const void* SyncedMemory::gpu_data() {
  ToGPU();
  return gpu_ptr_;
}

void* SyncedMemory::mutable_gpu_data() {
  ToGPU();
  Change(HEAD_AT_GPU);
  return gpu_ptr_;
}

void SyncedMemory::set_gpu_data(void* data) {
  CHECK(data);
  FreeGPU();
  gpu_ptr_ = data;
  own_gpu_data_ = false;
  Change(HEAD_AT_GPU);
}

void SyncedMemory::async_gpu_push(const cudaStream_t& stream) {
  Settle();
  CHECK_EQ(HEAD_AT_CPU, head_);
  AllocateGPU();
  CUDA_CHECK(cudaMemcpyAsync(gpu_ptr_, cpu_ptr_, size_, cudaMemcpyHostToDevice,
                             stream));
  head_ = SYNCED;
}

#else

const void* SyncedMemory::gpu_data() {
  NO_GPU;
  return NULL;
}

void* SyncedMemory::mutable_gpu_data() {
  NO_GPU;
  return NULL;
}

void SyncedMemory::set_gpu_data(void* data) { NO_GPU; }

#endif  // CPU_ONLY

}  // namespace caffe
