#ifndef CAFFE_UTIL_SIMD_CLONES_HPP_
#define CAFFE_UTIL_SIMD_CLONES_HPP_

// Before a plain function: compiled for AVX-512, for AVX2 with FMA and for any
// x86-64, of which the processor's is chosen when the library is loaded. Loops
// in it are vectorised accordingly. (OpenMP's outlined functions are not
// cloned, so a parallel region calls the function, not the other way round.)
// Elsewhere, on other processors and with other compilers, it is one function.
// No a * b + c in it may be contracted by the compiler (CMakeLists.txt gives
// -ffp-contract=off): the same numbers shall come from each of them.
// CAFFE_SIMD_LEVEL: for one kind of processor alone, which tests choose.
#ifdef CAFFE_SIMD_LEVEL
#define CAFFE_SIMD_CLONES
#elif defined(__x86_64__) && defined(__linux__) && !defined(__clang__) && \
    !defined(__CUDACC__) && defined(__GNUC__) && __GNUC__ >= 12
#define CAFFE_SIMD_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CAFFE_SIMD_CLONES
#endif

// For the body that such functions share: it becomes part of each clone.
#define CAFFE_ALWAYS_INLINE inline __attribute__((always_inline))

namespace caffe {

/// CAFFE_SIMD_LEVEL of the code that is loaded; "" where it is the processor's.
const char* SimdLevel();

}  // namespace caffe

#endif  // CAFFE_UTIL_SIMD_CLONES_HPP_
