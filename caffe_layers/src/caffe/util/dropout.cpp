#include "caffe/util/dropout.hpp"

#include <algorithm>

#include "caffe/util/parallel_ranges.hpp"
#include "caffe/util/simd_clones.hpp"

namespace caffe {

namespace {

// Blocks at a time: several vectors, because a round waits for the one before.
const int kLanes = 64;
const int kChunk = 4 * kLanes;
const int kLeastForThreads = 65536;

// From kLanes counters, word w of counter l in x[w][l], to their random words.
CAFFE_ALWAYS_INLINE void PhiloxRounds(const uint32_t k0, const uint32_t k1,
    uint32_t x[4][kLanes]) {
#pragma omp simd
  for (int l = 0; l < kLanes; ++l) {
    uint32_t x0 = x[0][l], x1 = x[1][l], x2 = x[2][l], x3 = x[3][l];
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const uint64_t a = 0xD2511F53ull * x0;
      const uint64_t b = 0xCD9E8D57ull * x2;
      x0 = static_cast<uint32_t>(b >> 32) ^ x1 ^ (k0 + round * 0x9E3779B9);
      x1 = static_cast<uint32_t>(b);
      x2 = static_cast<uint32_t>(a >> 32) ^ x3 ^ (k1 + round * 0xBB67AE85);
      x3 = static_cast<uint32_t>(a);
    }
    x[0][l] = x0;
    x[1][l] = x1;
    x[2][l] = x2;
    x[3][l] = x3;
  }
}

template <typename Dtype>
CAFFE_ALWAYS_INLINE void Forward(const uint64_t key, const uint32_t threshold,
    const Dtype scale, const int64_t begin, const int64_t end, const Dtype* x,
    unsigned int* mask, Dtype* y) {
  for (int64_t i = begin; i < end; i += kChunk) {
    uint32_t words[4][kLanes] = {};
    for (int l = 0; l < kLanes; ++l) {
      words[0][l] = i / 4 + l;
    }
    PhiloxRounds(static_cast<uint32_t>(key), key >> 32, words);
    const uint32_t* word = words[0];
    const int n = std::min<int64_t>(kChunk, end - i);
#pragma omp simd
    for (int j = 0; j < n; ++j) {
      mask[i + j] = word[j] > threshold;
    }
#pragma omp simd  // in place, too
    for (int j = 0; j < n; ++j) {
      y[i + j] = x[i + j] * mask[i + j] * scale;
    }
  }
}

template <typename Dtype>
CAFFE_ALWAYS_INLINE void Backward(const Dtype scale, const int64_t begin,
    const int64_t end, const Dtype* dy, const unsigned int* mask, Dtype* dx) {
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    dx[i] = dy[i] * mask[i] * scale;
  }
}

// Templates cannot be cloned, so there are two functions of each.
#define DEFINE_DROPOUT(Dtype) \
  CAFFE_SIMD_CLONES void ForwardRange(const uint64_t key, \
      const uint32_t threshold, const Dtype scale, const int64_t begin, \
      const int64_t end, const Dtype* x, unsigned int* mask, Dtype* y) { \
    Forward(key, threshold, scale, begin, end, x, mask, y); \
  } \
  CAFFE_SIMD_CLONES void BackwardRange(const Dtype scale, \
      const int64_t begin, const int64_t end, const Dtype* dy, \
      const unsigned int* mask, Dtype* dx) { \
    Backward(scale, begin, end, dy, mask, dx); \
  }

DEFINE_DROPOUT(float)
DEFINE_DROPOUT(double)

}  // namespace

void Philox4x32(const uint32_t counter[4], const uint32_t key[2],
    uint32_t words[4]) {
  uint32_t lanes[4][kLanes] = {};
  for (int w = 0; w < 4; ++w) {
    lanes[w][0] = counter[w];
  }
  PhiloxRounds(key[0], key[1], lanes);
  for (int w = 0; w < 4; ++w) {
    words[w] = lanes[w][0];
  }
}

template <typename Dtype>
void DropoutForward(const uint64_t key, const uint32_t threshold,
    const Dtype scale, const int count, const Dtype* x, unsigned int* mask,
    Dtype* y) {
  ParallelRanges(count, kLeastForThreads, [=](int64_t begin, int64_t end) {
    ForwardRange(key, threshold, scale, begin, end, x, mask, y);
  });
}

template <typename Dtype>
void DropoutBackward(const Dtype scale, const int count, const Dtype* dy,
    const unsigned int* mask, Dtype* dx) {
  ParallelRanges(count, kLeastForThreads, [=](int64_t begin, int64_t end) {
    BackwardRange(scale, begin, end, dy, mask, dx);
  });
}

template void DropoutForward<float>(const uint64_t key,
    const uint32_t threshold, const float scale, const int count,
    const float* x, unsigned int* mask, float* y);
template void DropoutForward<double>(const uint64_t key,
    const uint32_t threshold, const double scale, const int count,
    const double* x, unsigned int* mask, double* y);
template void DropoutBackward<float>(const float scale, const int count,
    const float* dy, const unsigned int* mask, float* dx);
template void DropoutBackward<double>(const double scale, const int count,
    const double* dy, const unsigned int* mask, double* dx);

}  // namespace caffe
