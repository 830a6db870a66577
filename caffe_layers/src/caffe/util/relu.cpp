#include "caffe/util/relu.hpp"

#include "caffe/util/parallel_ranges.hpp"
#include "caffe/util/simd_clones.hpp"

namespace caffe {

namespace {

const int kLeastForThreads = 262144;

// In place, which is the usual case, a loop becomes vectors only when told that
// one element does not depend on another. And signs are as good as random: a
// branch on them takes ten times as long as the rest.

template <typename Dtype>
CAFFE_ALWAYS_INLINE void Forward(const Dtype slope, const int64_t begin,
    const int64_t end, const Dtype* x, Dtype* y) {
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    const Dtype v = x[i];  // as std::max and std::min choose, NaN included
    y[i] = (v < 0 ? Dtype(0) : v) + slope * (v > 0 ? Dtype(0) : v);
  }
}

template <typename Dtype>
CAFFE_ALWAYS_INLINE void Backward(const Dtype slope, const int64_t begin,
    const int64_t end, const Dtype* x, const Dtype* dy, Dtype* dx) {
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    dx[i] = dy[i] * ((x[i] > 0) + slope * (x[i] <= 0));
  }
}

// Templates cannot be cloned, so there are two functions of each.
#define DEFINE_RELU(Dtype) \
  CAFFE_SIMD_CLONES void ForwardRange(const Dtype slope, \
      const int64_t begin, const int64_t end, const Dtype* x, Dtype* y) { \
    Forward(slope, begin, end, x, y); \
  } \
  CAFFE_SIMD_CLONES void BackwardRange(const Dtype slope, \
      const int64_t begin, const int64_t end, const Dtype* x, \
      const Dtype* dy, Dtype* dx) { \
    Backward(slope, begin, end, x, dy, dx); \
  }

DEFINE_RELU(float)
DEFINE_RELU(double)

}  // namespace

template <typename Dtype>
void ReLUForward(const Dtype slope, const int64_t count, const Dtype* x,
    Dtype* y) {
  ParallelRanges(count, kLeastForThreads, [=](int64_t begin, int64_t end) {
    ForwardRange(slope, begin, end, x, y);
  });
}

template <typename Dtype>
void ReLUBackward(const Dtype slope, const int64_t count, const Dtype* x,
    const Dtype* dy, Dtype* dx) {
  ParallelRanges(count, kLeastForThreads, [=](int64_t begin, int64_t end) {
    BackwardRange(slope, begin, end, x, dy, dx);
  });
}

template void ReLUForward<float>(const float slope, const int64_t count,
    const float* x, float* y);
template void ReLUForward<double>(const double slope, const int64_t count,
    const double* x, double* y);
template void ReLUBackward<float>(const float slope, const int64_t count,
    const float* x, const float* dy, float* dx);
template void ReLUBackward<double>(const double slope, const int64_t count,
    const double* x, const double* dy, double* dx);

}  // namespace caffe
