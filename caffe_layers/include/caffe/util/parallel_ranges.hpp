#ifndef CAFFE_UTIL_PARALLEL_RANGES_HPP_
#define CAFFE_UTIL_PARALLEL_RANGES_HPP_

#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <cstdint>

namespace caffe {

/**
 * @brief Calls work(begin, end) for consecutive ranges that make up [0, n): one
 *        range a thread from least on, else all at once on this thread.
 *
 * Ranges begin at multiples of 256. All of OpenMP's threads take part or none:
 * libgomp ends threads that a smaller team leaves over, and BLAS would have to
 * start them anew.
 *
 * @param least what n must be for waking the threads (5 to 50 microseconds) to
 *        be worth it
 */
template <typename Work>
void ParallelRanges(const int64_t n, const int64_t least, const Work& work) {
#ifdef _OPENMP
  if (n >= least && omp_get_max_threads() > 1 && !omp_in_parallel()) {
#pragma omp parallel
    {
      const int64_t blocks = (n + 255) / 256;
      const int64_t threads = omp_get_num_threads();
      const int64_t thread = omp_get_thread_num();
      const int64_t begin = blocks * thread / threads * 256;
      const int64_t end = std::min(n, blocks * (thread + 1) / threads * 256);
      if (begin < end) {
        work(begin, end);
      }
    }
    return;
  }
#endif
  if (n > 0) {
    work(0, n);
  }
}

}  // namespace caffe

#endif  // CAFFE_UTIL_PARALLEL_RANGES_HPP_
