#ifndef CAFFE_UTIL_DROPOUT_HPP_
#define CAFFE_UTIL_DROPOUT_HPP_

#include <cstdint>

namespace caffe {

/**
 * @brief The counter-based random generator Philox4x32-10: four random words
 *        for a counter of four and a key of two.
 *
 * J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: "Parallel Random Numbers:
 * As Easy as 1, 2, 3", SC 2011.
 */
void Philox4x32(const uint32_t counter[4], const uint32_t key[2],
    uint32_t words[4]);

/**
 * @brief y = x * mask * scale with a new random mask, in threads and vectors.
 *
 * The mask depends on key, threshold and place alone: in every chunk c of 256
 * elements, element 64 w + l is made of word w of Philox4x32's block of the
 * counter 64 c + l.
 *
 * @param key a random number, another one for each mask
 * @param threshold a mask is 0 where a random word is at most this, else 1
 * @param y may be x
 */
template <typename Dtype>
void DropoutForward(const uint64_t key, const uint32_t threshold,
    const Dtype scale, const int count, const Dtype* x, unsigned int* mask,
    Dtype* y);

/// dx = dy * mask * scale; dx may be dy.
template <typename Dtype>
void DropoutBackward(const Dtype scale, const int count, const Dtype* dy,
    const unsigned int* mask, Dtype* dx);

}  // namespace caffe

#endif  // CAFFE_UTIL_DROPOUT_HPP_
