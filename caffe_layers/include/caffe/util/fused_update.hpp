#ifndef CAFFE_UTIL_FUSED_UPDATE_HPP_
#define CAFFE_UTIL_FUSED_UPDATE_HPP_

#include <vector>

namespace caffe {

/// What all parameters of a net have in common in one update of a solver.
template <typename Dtype>
struct UpdateRule {
  enum Kind { SGD, NESTEROV, ADAM };
  enum Decay { NONE, L1, L2 };

  Kind kind;
  Decay decay;
  /// by which the gradient is multiplied: for clipping, then for iter_size
  Dtype clip_factor, normalization;
  /// of the history; Adam's beta 1
  Dtype momentum;
  /// of Adam: beta 2, and what is added to the root
  Dtype momentum2, delta;
};

/// One parameter blob in an update; all arrays have count elements.
template <typename Dtype>
struct ParamUpdate {
  int count;
  const Dtype* gradient;
  Dtype* weight;
  /// momentum's history; Adam's first moment
  Dtype* history;
  /// Adam's second moment, otherwise not used
  Dtype* history2;
  /// the learning rate and the weight decay of this blob
  Dtype rate, decay;
  /// by which the momentum is multiplied; not of Adam
  Dtype momentum_mult = 1;
};

/**
 * @brief Updates weights and history by their gradients in one pass over the
 *        memory, with all threads and the processor's widest vectors.
 *
 * Sums and products come in the order of Caffe's separate passes (ClipGradients,
 * Normalize, Regularize, ComputeUpdateValue, Net::Update) and are rounded as
 * there: a * x + y once where BLAS's axpy does so, else twice. So SGD and
 * Nesterov have the bits of those passes. (OpenBLAS's kernels of AVX2 alone
 * round the last elements of a thread's share, 31 at most, the other way.) Adam
 * takes the root by sqrt, not by pow, whose last bit may differ.
 */
template <typename Dtype>
void ApplyFusedUpdate(const UpdateRule<Dtype>& rule,
    const std::vector<ParamUpdate<Dtype> >& params);

/// Whether BLAS's axpy rounds a * x + y once (fused) on this processor.
template <typename Dtype>
bool BlasFusesMultiplyAdd();

}  // namespace caffe

#endif  // CAFFE_UTIL_FUSED_UPDATE_HPP_
