#include "caffe/util/fused_update.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "caffe/util/math_functions.hpp"
#include "caffe/util/parallel_ranges.hpp"
#include "caffe/util/simd_clones.hpp"

namespace caffe {

namespace {

// With fewer weights than this in all, one thread is as fast.
const int kLeastForThreads = 32768;

// a * x + y as BLAS's axpy rounds it.
template <bool kFused>
CAFFE_ALWAYS_INLINE float MultiplyAdd(const float a, const float x,
    const float y) {
  return kFused ? __builtin_fmaf(a, x, y) : a * x + y;
}

template <bool kFused>
CAFFE_ALWAYS_INLINE double MultiplyAdd(const double a, const double x,
    const double y) {
  return kFused ? __builtin_fma(a, x, y) : a * x + y;
}

template <typename Dtype>
using Rule = UpdateRule<Dtype>;

// The gradient as ClipGradients, Normalize and Regularize leave it.
template <typename Dtype, bool kFused, int kDecay>
CAFFE_ALWAYS_INLINE Dtype Gradient(const Dtype raw, const Dtype weight,
    const Dtype clip_factor, const Dtype normalization, const Dtype decay) {
  const Dtype g = raw * clip_factor * normalization;
  if (kDecay == Rule<Dtype>::L2) {
    return MultiplyAdd<kFused>(decay, weight, g);
  }
  if (kDecay == Rule<Dtype>::L1) {
    const Dtype sign = Dtype(weight > 0) - Dtype(weight < 0);
    return MultiplyAdd<kFused>(decay, sign, g);
  }
  return g;
}

// Elements [begin, end) of one blob.
template <typename Dtype, bool kFused, int kKind, int kDecay>
CAFFE_ALWAYS_INLINE void Loop(const Rule<Dtype>& rule,
    const ParamUpdate<Dtype>& param, const int begin, const int end) {
  const Dtype* __restrict__ gradient = param.gradient;
  Dtype* __restrict__ weight = param.weight;
  Dtype* __restrict__ history = param.history;
  Dtype* __restrict__ history2 = param.history2;
  const Dtype clip = rule.clip_factor, norm = rule.normalization;
  const Dtype rate = param.rate, decay = param.decay;
  const Dtype momentum = rule.momentum * param.momentum_mult;
  const Dtype momentum2 = rule.momentum2;
  const Dtype delta = rule.delta;
  for (int i = begin; i < end; ++i) {
    const Dtype g = Gradient<Dtype, kFused, kDecay>(gradient[i], weight[i],
        clip, norm, decay);
    Dtype update;
    if (kKind == Rule<Dtype>::ADAM) {
      const Dtype m = MultiplyAdd<kFused>(1 - momentum, g,
          momentum * history[i]);
      const Dtype v = MultiplyAdd<kFused>(1 - momentum2, g * g,
          momentum2 * history2[i]);
      history[i] = m;
      history2[i] = v;
      update = m / (std::sqrt(v) + delta) * rate;
    } else {
      const Dtype h = MultiplyAdd<kFused>(rate, g, momentum * history[i]);
      // Nesterov: back by the old history, then over by the new.
      update = kKind == Rule<Dtype>::SGD ? h :
          MultiplyAdd<kFused>(1 + momentum, h, -momentum * history[i]);
      history[i] = h;
    }
    weight[i] -= update;
  }
}

template <typename Dtype, int kKind>
CAFFE_ALWAYS_INLINE void Update(const bool fused, const Rule<Dtype>& rule,
    const ParamUpdate<Dtype>& param, const int begin, const int end) {
  const int decay = param.decay ? rule.decay : Rule<Dtype>::NONE;
  if (decay == Rule<Dtype>::L2) {
    fused ? Loop<Dtype, true, kKind, Rule<Dtype>::L2>(rule, param, begin, end)
        : Loop<Dtype, false, kKind, Rule<Dtype>::L2>(rule, param, begin, end);
  } else if (decay == Rule<Dtype>::L1) {
    fused ? Loop<Dtype, true, kKind, Rule<Dtype>::L1>(rule, param, begin, end)
        : Loop<Dtype, false, kKind, Rule<Dtype>::L1>(rule, param, begin, end);
  } else {
    fused ? Loop<Dtype, true, kKind, Rule<Dtype>::NONE>(rule, param, begin, end)
        : Loop<Dtype, false, kKind, Rule<Dtype>::NONE>(rule, param, begin, end);
  }
}

// Templates cannot be cloned, so there is one function a rule and type.
#define DEFINE_UPDATE(name, Dtype, kind) \
  CAFFE_SIMD_CLONES void name(const bool fused, const Rule<Dtype>& rule, \
      const ParamUpdate<Dtype>& param, const int begin, const int end) { \
    Update<Dtype, Rule<Dtype>::kind>(fused, rule, param, begin, end); \
  }

DEFINE_UPDATE(UpdateSGD, float, SGD)
DEFINE_UPDATE(UpdateSGD, double, SGD)
DEFINE_UPDATE(UpdateNesterov, float, NESTEROV)
DEFINE_UPDATE(UpdateNesterov, double, NESTEROV)
DEFINE_UPDATE(UpdateAdam, float, ADAM)
DEFINE_UPDATE(UpdateAdam, double, ADAM)

}  // namespace

template <typename Dtype>
bool BlasFusesMultiplyAdd() {
  // (1 + e)^2 = 1 + 2e + e^2, where e^2 is lost when the product is rounded.
  const Dtype e = std::ldexp(Dtype(1),
      -(std::numeric_limits<Dtype>::digits / 2 + 1));
  const int n = 64;  // more than any kernel takes at once
  std::vector<Dtype> x(n, 1 + e), y(n, -(1 + 2 * e));
  caffe_axpy(n, 1 + e, x.data(), y.data());
  return y[0] != 0;
}

template <typename Dtype>
void ApplyFusedUpdate(const UpdateRule<Dtype>& rule,
    const std::vector<ParamUpdate<Dtype> >& params) {
  static const bool fused = BlasFusesMultiplyAdd<Dtype>();
  int64_t total = 0;
  for (const ParamUpdate<Dtype>& param : params) {
    total += param.count;
  }
  // One range of all blobs' elements a thread: one parallel region in all.
  ParallelRanges(total, kLeastForThreads, [&](int64_t begin, int64_t end) {
    int64_t start = 0;  // of the blob
    for (const ParamUpdate<Dtype>& param : params) {
      const int first = std::max<int64_t>(0, begin - start);
      const int last = std::min<int64_t>(param.count, end - start);
      start += param.count;
      if (first >= last) { continue; }
      switch (rule.kind) {
      case UpdateRule<Dtype>::SGD:
        UpdateSGD(fused, rule, param, first, last);
        break;
      case UpdateRule<Dtype>::NESTEROV:
        UpdateNesterov(fused, rule, param, first, last);
        break;
      case UpdateRule<Dtype>::ADAM:
        UpdateAdam(fused, rule, param, first, last);
        break;
      }
    }
  });
}

template bool BlasFusesMultiplyAdd<float>();
template bool BlasFusesMultiplyAdd<double>();
template void ApplyFusedUpdate<float>(const UpdateRule<float>& rule,
    const std::vector<ParamUpdate<float> >& params);
template void ApplyFusedUpdate<double>(const UpdateRule<double>& rule,
    const std::vector<ParamUpdate<double> >& params);

}  // namespace caffe
