#ifndef CAFFE_UTIL_CHANNELS_HPP_
#define CAFFE_UTIL_CHANNELS_HPP_

#include <cstdint>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {

/**
 * @brief The layout of images as [num][blocks][pixels][block]: `block` channels
 *        (1, 8 or 16) beside each other, one in Caffe's own layout. The last
 *        block is filled up with zeros. Or as [num][pixels][row], all channels
 *        of a pixel beside each other: then blocks are kLanes of them each, the
 *        last one fewer.
 */
struct Channels {
  int num, blocks, pixels, block;
  int row;  // 0: in blocks

  /// How many numbers are worked on at a time, a multiple of each block.
  static const int kLanes = 32;

  Channels() : num(0), blocks(0), pixels(0), block(0), row(0) {}
  /// Channels, with those that fill up the last block.
  int padded() const { return blocks * block; }
};

// What batch normalisation, scaling by channels and ReLU come to, each in one
// pass over memory, in threads and vectors; sums do not depend on the threads.
// Coefficients and results are vectors of padded() numbers, one a channel.

/// A gradient as it comes from a ReLU, which need not have been computed yet:
/// diff where top > 0, else slope * diff; diff alone without top.
struct ReLUGradient {
  const float* diff;
  const float* top;
  float slope;
};

/// Mean and variance (divided by their number) of each channel.
void ChannelMoments(const Channels& shape, const float* x,
    vector<float>* mean, vector<float>* variance);

/// y = scale * x + shift
void ChannelScale(const Channels& shape, const vector<float>& scale,
    const vector<float>& shift, const float* x, float* y);

/// y = max(v, 0) + slope * min(v, 0) of v = scale * x + shift
void ChannelScaleReLU(const Channels& shape, const vector<float>& scale,
    const vector<float>& shift, float slope, const float* x, float* y);

/// The sums over a channel of g and of g * (scale * x + shift).
void ChannelSums(const Channels& shape, const ReLUGradient& g,
    const vector<float>& scale, const vector<float>& shift, const float* x,
    vector<float>* sum, vector<float>* product);

/// dx = p * g; dx may be g.diff.
void ChannelGradient(const Channels& shape, const ReLUGradient& g,
    const vector<float>& p, float* dx);

/// dx = p * g + q * x + r; dx may be g.diff.
void ChannelGradient(const Channels& shape, const ReLUGradient& g,
    const vector<float>& p, const vector<float>& q, const vector<float>& r,
    const float* x, float* dx);

}  // namespace caffe

#endif  // CAFFE_UTIL_CHANNELS_HPP_
