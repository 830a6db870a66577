// A device of ordinary memory, for test_syncedmem_cuda.cpp: the few of CUDA's
// functions that SyncedMemory calls, and the names that Caffe's headers mention.
#ifndef FAKE_CUDA_RUNTIME_H_
#define FAKE_CUDA_RUNTIME_H_

#include <cstdlib>
#include <cstring>

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDefault };
typedef int cudaStream_t;
typedef int cublasHandle_t;
typedef int cublasStatus_t;
typedef int curandGenerator_t;
typedef int curandStatus_t;

inline const char* cudaGetErrorString(cudaError_t) { return "no memory"; }

inline cudaError_t cudaMalloc(void** memory, size_t size) {
  *memory = malloc(size ? size : 1);
  return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}

inline cudaError_t cudaMallocHost(void** memory, size_t size) {
  return cudaMalloc(memory, size);
}

inline cudaError_t cudaFree(void* memory) {
  free(memory);
  return cudaSuccess;
}

inline cudaError_t cudaFreeHost(void* memory) { return cudaFree(memory); }

inline cudaError_t cudaMemset(void* memory, int value, size_t size) {
  memset(memory, value, size);
  return cudaSuccess;
}

inline cudaError_t cudaMemcpy(void* to, const void* from, size_t size,
                              cudaMemcpyKind) {
  memcpy(to, from, size);
  return cudaSuccess;
}

inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size,
                                   cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy(to, from, size, kind);
}

#endif  // FAKE_CUDA_RUNTIME_H_
