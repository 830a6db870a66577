#include <algorithm>
#include <vector>

#include "caffe/layers/multi_t_loss_layer.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

// Every thread computes from the differences z_ik - mu_kj themselves, so that
// no shift of the origin is needed here.

// log c_j; one thread a center
template <typename Dtype>
__global__ void MultiTLogNorm(const int num_center, const int dim,
    const Dtype* s, Dtype* log_norm) {
  CUDA_KERNEL_LOOP(j, num_center) {
    Dtype sum = 0;
    for (int k = 0; k < dim; ++k) {
      sum += log(s[k * num_center + j]);
    }
    log_norm[j] = sum / 2;
  }
}

// d_ij and the logarithm of its kernel; one thread a point and center
template <typename Dtype>
__global__ void MultiTKernel(const int count, const int dim,
    const int num_center, const Dtype alpha, const Dtype* z, const Dtype* mu,
    const Dtype* s, const Dtype* log_norm, Dtype* dist, Dtype* log_kernel) {
  CUDA_KERNEL_LOOP(ij, count) {
    const int i = ij / num_center;
    const int j = ij % num_center;
    Dtype sum = 0;
    for (int k = 0; k < dim; ++k) {
      const int kj = k * num_center + j;
      const Dtype diff = z[i * dim + k] - mu[kj];
      sum += s[kj] * diff * diff;
    }
    dist[ij] = sum;
    log_kernel[ij] = log_norm[j] - (alpha + 1) / 2 * log1p(sum / alpha);
  }
}

// log q_ij (in place of the log kernel) and q_ij; one thread a point
template <typename Dtype>
__global__ void MultiTSoftmax(const int num, const int num_center,
    Dtype* log_prob, Dtype* prob) {
  CUDA_KERNEL_LOOP(i, num) {
    Dtype* log_q = log_prob + i * num_center;
    Dtype* q = prob + i * num_center;
    Dtype max_log = log_q[0];
    for (int j = 1; j < num_center; ++j) {
      max_log = max(max_log, log_q[j]);
    }
    Dtype sum = 0;
    for (int j = 0; j < num_center; ++j) {
      sum += exp(log_q[j] - max_log);
    }
    for (int j = 0; j < num_center; ++j) {
      log_q[j] = log_q[j] - max_log - log(sum);
      q[j] = exp(log_q[j]);
    }
  }
}

// A point's share of the loss, negative p giving NaN; one thread a point
template <typename Dtype>
__global__ void MultiTLoss(const int num, const int num_center,
    const Dtype* p, const Dtype* log_prob, Dtype* loss) {
  CUDA_KERNEL_LOOP(i, num) {
    Dtype sum = 0;
    for (int ij = i * num_center; ij < (i + 1) * num_center; ++ij) {
      if (p[ij] != 0) {
        sum += p[ij] * (log(p[ij]) - log_prob[ij]);
      }
    }
    loss[i] = sum / num;
  }
}

// A point's share of the mean squared distance; one thread a point
template <typename Dtype>
__global__ void MultiTMeanSquare(const int num, const int num_center,
    const Dtype* prob, const Dtype* dist, Dtype* mean_sq) {
  CUDA_KERNEL_LOOP(i, num) {
    Dtype sum = 0;
    for (int ij = i * num_center; ij < (i + 1) * num_center; ++ij) {
      if (prob[ij] > 0) {
        sum += prob[ij] * dist[ij];
      }
    }
    mean_sq[i] = sum / num;
  }
}

// One thread a point
template <typename Dtype>
__global__ void MultiTArgmax(const int num, const int num_center,
    const Dtype* prob, Dtype* ind) {
  CUDA_KERNEL_LOOP(i, num) {
    const Dtype* q = prob + i * num_center;
    int best = 0;
    for (int j = 1; j < num_center; ++j) {
      if (q[j] > q[best]) {
        best = j;
      }
    }
    ind[i] = best;
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
    const vector<Blob<Dtype>*>& top) {
  const int count = num_ * num_center_;
  const Dtype* s = this->blobs_[1]->gpu_data();
  // NOLINT_NEXT_LINE(whitespace/operators)
  MultiTLogNorm<Dtype><<<CAFFE_GET_BLOCKS(num_center_),
      CAFFE_CUDA_NUM_THREADS>>>(
      num_center_, dim_, s, log_norm_.mutable_gpu_data());
  CUDA_POST_KERNEL_CHECK;
  // NOLINT_NEXT_LINE(whitespace/operators)
  MultiTKernel<Dtype><<<CAFFE_GET_BLOCKS(count), CAFFE_CUDA_NUM_THREADS>>>(
      count, dim_, num_center_, alpha_, bottom[0]->gpu_data(),
      this->blobs_[0]->gpu_data(), s, log_norm_.gpu_data(),
      dist_.mutable_gpu_data(), log_prob_.mutable_gpu_data());
  CUDA_POST_KERNEL_CHECK;
  // NOLINT_NEXT_LINE(whitespace/operators)
  MultiTSoftmax<Dtype><<<CAFFE_GET_BLOCKS(num_), CAFFE_CUDA_NUM_THREADS>>>(
      num_, num_center_, log_prob_.mutable_gpu_data(),
      prob_.mutable_gpu_data());
  CUDA_POST_KERNEL_CHECK;
  if (Blob<Dtype>* loss = FindTop(top, LOSS)) {
    // NOLINT_NEXT_LINE(whitespace/operators)
    MultiTLoss<Dtype><<<CAFFE_GET_BLOCKS(num_), CAFFE_CUDA_NUM_THREADS>>>(
        num_, num_center_, bottom[1]->gpu_data(), log_prob_.gpu_data(),
        row_sum_.mutable_gpu_data());
    CUDA_POST_KERNEL_CHECK;
    caffe_gpu_gemv(CblasNoTrans, 1, num_, Dtype(1), row_sum_.gpu_data(),
        ones_.gpu_data(), Dtype(0), loss->mutable_gpu_data());
    CheckLoss(loss->cpu_data()[0]);
  }
  if (Blob<Dtype>* rms = FindTop(top, STD)) {
    // NOLINT_NEXT_LINE(whitespace/operators)
    MultiTMeanSquare<Dtype><<<CAFFE_GET_BLOCKS(num_), CAFFE_CUDA_NUM_THREADS>>>(
        num_, num_center_, prob_.gpu_data(), dist_.gpu_data(),
        row_sum_.mutable_gpu_data());
    CUDA_POST_KERNEL_CHECK;
    caffe_gpu_gemv(CblasNoTrans, 1, num_, Dtype(1), row_sum_.gpu_data(),
        ones_.gpu_data(), Dtype(0), rms->mutable_gpu_data());
    caffe_gpu_sqrt(1, rms->gpu_data(), rms->mutable_gpu_data());
  }
  if (Blob<Dtype>* ind = FindTop(top, IND)) {
    // NOLINT_NEXT_LINE(whitespace/operators)
    MultiTArgmax<Dtype><<<CAFFE_GET_BLOCKS(num_), CAFFE_CUDA_NUM_THREADS>>>(
        num_, num_center_, prob_.gpu_data(), ind->mutable_gpu_data());
    CUDA_POST_KERNEL_CHECK;
  }
  if (Blob<Dtype>* proba = FindTop(top, PROBA)) {
    caffe_copy(count, prob_.gpu_data(), proba->mutable_gpu_data());
  }
}

// Gradients w.r.t. the log kernel and d_ij; one thread a point
template <typename Dtype>
__global__ void MultiTKernelDiff(const int num, const int num_center,
    const Dtype alpha, const Dtype weight, const Dtype* p, const Dtype* prob,
    const Dtype* dist, Dtype* kernel_diff, Dtype* dist_diff) {
  CUDA_KERNEL_LOOP(i, num) {
    const int begin = i * num_center;
    const int end = begin + num_center;
    Dtype p_sum = 0;
    for (int ij = begin; ij < end; ++ij) {
      p_sum += p[ij];
    }
    for (int ij = begin; ij < end; ++ij) {
      kernel_diff[ij] = weight * (p_sum * prob[ij] - p[ij]);
      dist_diff[ij] = -(alpha + 1) / 2 / (alpha + dist[ij]) * kernel_diff[ij];
    }
  }
}

// 2 sum_j dist_diff_ij s_kj (z_ik - mu_kj); one thread a point and axis
template <typename Dtype>
__global__ void MultiTPointsDiff(const int count, const int dim,
    const int num_center, const Dtype* z, const Dtype* mu, const Dtype* s,
    const Dtype* dist_diff, Dtype* z_diff) {
  CUDA_KERNEL_LOOP(ik, count) {
    const int i = ik / dim;
    const int k = ik % dim;
    Dtype sum = 0;
    for (int j = 0; j < num_center; ++j) {
      const int kj = k * num_center + j;
      sum += dist_diff[i * num_center + j] * s[kj] * (z[ik] - mu[kj]);
    }
    z_diff[ik] = 2 * sum;
  }
}

// The sum of x over the threads of a block, whose number is a power of two;
// right in thread 0 only.
template <typename Dtype>
__device__ Dtype MultiTBlockSum(const Dtype x) {
  __shared__ Dtype sum[CAFFE_CUDA_NUM_THREADS];
  sum[threadIdx.x] = x;
  __syncthreads();
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) {
      sum[threadIdx.x] += sum[threadIdx.x + half];
    }
    __syncthreads();
  }
  return sum[0];
}

// Adds -2 s_kj sum_i dist_diff_ij (z_ik - mu_kj); one block an axis and center
template <typename Dtype>
__global__ void MultiTCenterDiff(const int num, const int dim,
    const int num_center, const Dtype* z, const Dtype* mu, const Dtype* s,
    const Dtype* dist_diff, Dtype* mu_diff) {
  const int kj = blockIdx.x;
  const int k = kj / num_center;
  const int j = kj % num_center;
  Dtype sum = 0;
  for (int i = threadIdx.x; i < num; i += blockDim.x) {
    sum += dist_diff[i * num_center + j] * (z[i * dim + k] - mu[kj]);
  }
  sum = MultiTBlockSum(sum);
  if (threadIdx.x == 0) {
    mu_diff[kj] -= 2 * s[kj] * sum;
  }
}

// Adds sum_i (dist_diff_ij (z_ik - mu_kj)^2 + kernel_diff_ij / (2 s_kj)); one
// block an axis and center
template <typename Dtype>
__global__ void MultiTVarianceDiff(const int num, const int dim,
    const int num_center, const Dtype* z, const Dtype* mu, const Dtype* s,
    const Dtype* kernel_diff, const Dtype* dist_diff, Dtype* s_diff) {
  const int kj = blockIdx.x;
  const int k = kj / num_center;
  const int j = kj % num_center;
  Dtype sum = 0;
  for (int i = threadIdx.x; i < num; i += blockDim.x) {
    const int ij = i * num_center + j;
    const Dtype diff = z[i * dim + k] - mu[kj];
    sum += dist_diff[ij] * diff * diff + kernel_diff[ij] / (2 * s[kj]);
  }
  sum = MultiTBlockSum(sum);
  if (threadIdx.x == 0) {
    s_diff[kj] += sum;
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom) {
  CheckPropagateDown(propagate_down);
  if (!has_targets_) { return; }
  const Dtype* z = bottom[0]->gpu_data();
  const Dtype* mu = this->blobs_[0]->gpu_data();
  const Dtype* s = this->blobs_[1]->gpu_data();
  // NOLINT_NEXT_LINE(whitespace/operators)
  MultiTKernelDiff<Dtype><<<CAFFE_GET_BLOCKS(num_), CAFFE_CUDA_NUM_THREADS>>>(
      num_, num_center_, alpha_, top[0]->cpu_diff()[0] / num_,
      bottom[1]->gpu_data(), prob_.gpu_data(), dist_.gpu_data(),
      log_prob_.mutable_gpu_diff(), dist_.mutable_gpu_diff());
  CUDA_POST_KERNEL_CHECK;
  if (propagate_down[0]) {
    const int count = num_ * dim_;
    // NOLINT_NEXT_LINE(whitespace/operators)
    MultiTPointsDiff<Dtype><<<CAFFE_GET_BLOCKS(count),
        CAFFE_CUDA_NUM_THREADS>>>(count, dim_, num_center_, z, mu, s,
        dist_.gpu_diff(), bottom[0]->mutable_gpu_diff());
    CUDA_POST_KERNEL_CHECK;
  }
  if (this->param_propagate_down_[0]) {
    // NOLINT_NEXT_LINE(whitespace/operators)
    MultiTCenterDiff<Dtype><<<dim_ * num_center_, CAFFE_CUDA_NUM_THREADS>>>(
        num_, dim_, num_center_, z, mu, s, dist_.gpu_diff(),
        this->blobs_[0]->mutable_gpu_diff());
    CUDA_POST_KERNEL_CHECK;
  }
  if (this->param_propagate_down_[1]) {
    // NOLINT_NEXT_LINE(whitespace/operators)
    MultiTVarianceDiff<Dtype><<<dim_ * num_center_, CAFFE_CUDA_NUM_THREADS>>>(
        num_, dim_, num_center_, z, mu, s, log_prob_.gpu_diff(),
        dist_.gpu_diff(), this->blobs_[1]->mutable_gpu_diff());
    CUDA_POST_KERNEL_CHECK;
  }
}

INSTANTIATE_LAYER_GPU_FUNCS(MultiTLossLayer);

}  // namespace caffe
