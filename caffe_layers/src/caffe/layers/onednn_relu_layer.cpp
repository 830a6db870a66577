#include "caffe/layers/onednn_relu_layer.hpp"

#include <algorithm>
#include <vector>

namespace caffe {

using dnnl::memory;

// Fewer values are done by one thread before two have woken up.
static const int64_t kWorthThreads = 1 << 15;

static void Rectify(int64_t count, float slope, const float* x, float* y) {
#pragma omp parallel for simd if (parallel : count >= kWorthThreads)
  for (int64_t i = 0; i < count; ++i) {
    y[i] = std::max(x[i], 0.f) + slope * std::min(x[i], 0.f);
  }
}

static void RectifyGradient(int64_t count, float slope, const float* x,
                            const float* y_diff, float* x_diff) {
#pragma omp parallel for simd if (parallel : count >= kWorthThreads)
  for (int64_t i = 0; i < count; ++i) {
    x_diff[i] = y_diff[i] * ((x[i] > 0) + slope * (x[i] <= 0));
  }
}

void OneDNNReLULayer::Forward_cpu(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  if (IsDone()) { return; }
  const memory::dims dims = onednn::FlatDims(*bottom[0],
                                             *bottom[0]->data());
  SyncedMemory* top_data = top[0]->data().get();
  if (bottom[0] == top[0]) {
    const memory x = in_place_.Begin(top_data, dims);
    Rectify(onednn::Count(x), Slope(), onednn::Values(x), onednn::Values(x));
    return in_place_.End(top_data);
  }
  const memory x = onednn::Here(bottom[0]->data().get(), dims);
  const memory y = top_data_.Begin(top_data, dims, x.get_desc());
  Rectify(onednn::Count(x), Slope(), onednn::Values(x), onednn::Values(y));
  top_data_.End(top_data);
}

void OneDNNReLULayer::Backward_cpu(const vector<Blob<float>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom) {
  if (!propagate_down[0]) { return; }
  const memory::dims dims = onednn::FlatDims(*bottom[0],
                                             *bottom[0]->data());
  const memory x = onednn::Here(bottom[0]->data().get(), dims);
  gradient_.Begin(top[0]->diff().get(), bottom[0]->diff().get(), dims,
                  x.get_desc());
  RectifyGradient(onednn::Count(x), Slope(), onednn::Values(x),
                  onednn::Values(gradient_.top()),
                  onednn::Values(gradient_.bottom()));
  gradient_.End();
}

}  // namespace caffe
