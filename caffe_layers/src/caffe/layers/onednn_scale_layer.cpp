#include "caffe/layers/onednn_scale_layer.hpp"

#include <algorithm>
#include <vector>

namespace caffe {

using dnnl::memory;

namespace {

// An image's values as [num][blocks][pixels][block]: block channels beside
// each other, one in Caffe's own layout.
struct Channels {
  int num, blocks, pixels, block;

  Channels() : num(0), blocks(0), pixels(0), block(0) {}

  // False for layouts that are not of this kind.
  bool Set(const onednn::Desc& desc) {
    const dnnl_blocking_desc_t& blocking = desc.data.format_desc.blocking;
    const memory::dims dims = desc.dims();
    const dnnl_dim_t* padded = desc.data.padded_dims;
    if (desc.data.format_kind != dnnl_blocked || blocking.inner_nblks > 1 ||
        (blocking.inner_nblks == 1 && blocking.inner_idxs[0] != 1)) {
      return false;
    }
    num = dims[0];
    block = blocking.inner_nblks ? blocking.inner_blks[0] : 1;
    blocks = padded[1] / block;
    pixels = dims[2] * dims[3];
    return blocking.strides[0] == Offset(1, 0) &&
        blocking.strides[1] == Offset(0, 1) &&
        blocking.strides[2] == dims[3] * block &&
        blocking.strides[3] == block;
  }

  int64_t Offset(int n, int b) const {
    return (static_cast<int64_t>(n) * blocks + b) * pixels * block;
  }
};

// Of each channel, with zeros for what fills up the last block.
vector<float> Padded(const float* values, int count, const Channels& shape) {
  vector<float> padded(shape.blocks * shape.block);
  if (values) { std::copy(values, values + count, padded.begin()); }
  return padded;
}

// A block is a constant for the compiler: kBlock channels in one register.
template <int kBlock>
void ScaleForward(const Channels& shape, const float* scale, const float* bias,
                  const float* x, float* y) {
#pragma omp parallel for collapse(2)
  for (int n = 0; n < shape.num; ++n) {
    for (int b = 0; b < shape.blocks; ++b) {
      const int64_t offset = shape.Offset(n, b);
      const float* from = x + offset;
      float* to = y + offset;
      const float* s = scale + b * kBlock;
      const float* t = bias + b * kBlock;
      for (int i = 0; i < shape.pixels; ++i) {
#pragma omp simd
        for (int c = 0; c < kBlock; ++c) {
          to[i * kBlock + c] = from[i * kBlock + c] * s[c] + t[c];
        }
      }
    }
  }
}

// One thread adds up a channel, so sums do not depend on the threads.
template <int kBlock>
void ScaleBackward(const Channels& shape, const float* scale, const float* x,
                   const float* y_diff, float* x_diff, float* scale_diff,
                   float* bias_diff) {
#pragma omp parallel for
  for (int b = 0; b < shape.blocks; ++b) {
    const float* s = scale + b * kBlock;
    double product_sum[kBlock] = {0}, sum[kBlock] = {0};
    for (int n = 0; n < shape.num; ++n) {
      const int64_t offset = shape.Offset(n, b);
      const float* in = x + offset;
      const float* dy = y_diff + offset;
      float* dx = x_diff + offset;
      // Several sums of each, so that additions need not wait for each other.
      const int kSums = kBlock == 1 ? 16 : 2;
      float products[kSums * kBlock] = {0}, diffs[kSums * kBlock] = {0};
      const int step = kSums * kBlock, end = shape.pixels * kBlock;
      int i = 0;
      for (; i + step <= end; i += step) {
#pragma omp simd
        for (int c = 0; c < kSums * kBlock; ++c) {
          const float d = dy[i + c];
          products[c] += d * in[i + c];
          diffs[c] += d;
          dx[i + c] = d * s[c % kBlock];
        }
      }
      for (; i < end; ++i) {
        const float d = dy[i];
        products[i % kBlock] += d * in[i];
        diffs[i % kBlock] += d;
        dx[i] = d * s[i % kBlock];
      }
      for (int c = 0; c < kSums * kBlock; ++c) {
        product_sum[c % kBlock] += products[c];
        sum[c % kBlock] += diffs[c];
      }
    }
    for (int c = 0; c < kBlock; ++c) {
      scale_diff[b * kBlock + c] = product_sum[c];
      bias_diff[b * kBlock + c] = sum[c];
    }
  }
}

void Add(const vector<float>& sums, Blob<float>* param) {
  float* diff = param->mutable_cpu_diff();
  for (int c = 0; c < param->count(); ++c) { diff[c] += sums[c]; }
}

}  // namespace

bool OneDNNScaleLayer::Handles(const vector<Blob<float>*>& bottom) const {
  if (bottom.size() != 1 || bottom[0]->num_axes() != 4 || axis_ != 1 ||
      blobs_[0]->num_axes() != 1 || bottom[0]->count() == 0) {
    return false;
  }
  Channels shape;
  return shape.Set(onednn::Here(bottom[0]->data().get(),
                                onednn::Dims(*bottom[0])).get_desc()) &&
      (shape.block == 1 || shape.block == 8 || shape.block == 16);
}

void OneDNNScaleLayer::Forward_cpu(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  handled_ = Handles(bottom);
  if (!handled_) {
    return ScaleLayer<float>::Forward_cpu(bottom, top);
  }
  const memory::dims dims = onednn::Dims(*bottom[0]);
  SyncedMemory* top_data = top[0]->data().get();
  const memory x = input_.Save(bottom[0]->data().get(), dims,
                               bottom[0] == top[0]);
  desc_ = x.get_desc();
  const memory y = top_data_.Begin(top_data, dims, desc_);
  Channels shape;
  shape.Set(x.get_desc());
  const int channels = blobs_[0]->count();
  const vector<float> scale = Padded(blobs_[0]->cpu_data(), channels, shape);
  const vector<float> bias = Padded(
      bias_layer_ ? blobs_[bias_param_id_]->cpu_data() : NULL, channels, shape);
  const auto forward = shape.block == 16 ? ScaleForward<16> :
      shape.block == 8 ? ScaleForward<8> : ScaleForward<1>;
  forward(shape, scale.data(), bias.data(), onednn::Values(x),
          onednn::Values(y));
  top_data_.End(top_data);
}

void OneDNNScaleLayer::Backward_cpu(const vector<Blob<float>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom) {
  if (!handled_) {
    return ScaleLayer<float>::Backward_cpu(top, propagate_down, bottom);
  }
  const memory::dims dims = onednn::Dims(*bottom[0]);
  const memory x = input_.Saved(bottom[0]->data().get(), dims, desc_);
  Channels shape;
  shape.Set(x.get_desc());
  const int channels = blobs_[0]->count();
  const vector<float> scale = Padded(blobs_[0]->cpu_data(), channels, shape);
  vector<float> scale_diff(scale.size()), bias_diff(scale.size());
  gradient_.Begin(top[0]->diff().get(), bottom[0]->diff().get(), dims,
                  x.get_desc());
  const auto backward = shape.block == 16 ? ScaleBackward<16> :
      shape.block == 8 ? ScaleBackward<8> : ScaleBackward<1>;
  backward(shape, scale.data(), onednn::Values(x),
           onednn::Values(gradient_.top()), onednn::Values(gradient_.bottom()),
           scale_diff.data(), bias_diff.data());
  gradient_.End();
  if (param_propagate_down_[0]) { Add(scale_diff, blobs_[0].get()); }
  if (bias_layer_ && param_propagate_down_[bias_param_id_]) {
    Add(bias_diff, blobs_[bias_param_id_].get());
  }
}

}  // namespace caffe
