#ifndef CAFFE_UTIL_RELU_HPP_
#define CAFFE_UTIL_RELU_HPP_

#include <cstdint>

namespace caffe {

/// y = max(x, 0) + slope * min(x, 0), in threads and vectors; y may be x.
template <typename Dtype>
void ReLUForward(const Dtype slope, const int64_t count, const Dtype* x,
    Dtype* y);

/// dx = dy where x > 0, else slope * dy, in threads and vectors; dx may be dy.
template <typename Dtype>
void ReLUBackward(const Dtype slope, const int64_t count, const Dtype* x,
    const Dtype* dy, Dtype* dx);

}  // namespace caffe

#endif  // CAFFE_UTIL_RELU_HPP_
