#include "caffe/layers/onednn_inner_product_layer.hpp"

#include <vector>

#include "caffe/util/math_functions.hpp"

namespace caffe {

using onednn::kFloat;
using onednn::MatrixDesc;

// C (m x n) = A (m x k) B (k x n) + beta C, row-major; 'T' where A or B lies
// transposed. Of oneDNN's two products this is the faster one for gradients.
static void Multiply(char trans_a, char trans_b, int m, int n, int k,
    const float* a, const float* b, float beta, float* c) {
  const dnnl::status status = dnnl::sgemm(
      trans_a, trans_b, m, n, k, 1.f, a, trans_a == 'T' ? m : k, b,
      trans_b == 'T' ? k : n, beta, c, n);
  CHECK(status == dnnl::status::success) << "oneDNN: a matrix product failed";
}

// For one row, which is bound by memory, it is the faster one, too.
void OneDNNInnerProductLayer::ForwardRow(const float* bottom,
    const float* weight, float* top) const {
  Multiply('N', transpose_ ? 'N' : 'T', 1, N_, K_, bottom, weight, 0.f, top);
  if (bias_term_) { caffe_axpy(N_, 1.f, blobs_[1]->cpu_data(), top); }
}

void OneDNNInnerProductLayer::Forward_cpu(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  float* y = top[0]->mutable_cpu_data();
  if (M_ == 0) { return; }
  if (M_ == 1 && factor_type() == kFloat) {
    return ForwardRow(bottom[0]->cpu_data(), blobs_[0]->cpu_data(), y);
  }
  forward_.Prepare(BottomDesc(), WeightDesc(), MatrixDesc(M_, N_, false),
                   false, bias_term_);
  // Converted in every pass: whoever keeps a pointer writes without a call.
  const dnnl::memory x = bottom_.Read(bottom[0]->data().get(), {M_, K_},
                                      BottomDesc());
  const dnnl::memory weight = weight_.Read(blobs_[0]->data().get(),
                                           WeightDims(), StoredWeightDesc());
  forward_.Run(x, onednn::As(weight, WeightDesc()), y,
               bias_term_ ? blobs_[1]->cpu_data() : NULL);
}

void OneDNNInnerProductLayer::WeightGradient(const Blob<float>& bottom,
    const Blob<float>& top, bool add, float* weight_diff) {
  if (factor_type() == kFloat) {
    const float* x = bottom.cpu_data();
    const float* top_diff = top.cpu_diff();
    const float beta = add ? 1.f : 0.f;
    if (transpose_) {
      Multiply('T', 'N', K_, N_, M_, x, top_diff, beta, weight_diff);
    } else {
      Multiply('T', 'N', N_, K_, M_, top_diff, x, beta, weight_diff);
    }
    return;
  }
  const dnnl::memory a = bottom_.ReadAgain(bottom.data().get(), {M_, K_},
                                           BottomDesc());
  const dnnl::memory b = top_diff_.Read(top.diff().get(), {M_, N_}, TopDesc());
  const onednn::Desc a_transposed = MatrixDesc(K_, M_, true, factor_type());
  const onednn::Desc b_transposed = MatrixDesc(N_, M_, true, factor_type());
  if (transpose_) {
    weight_product_.Prepare(a_transposed, TopDesc(), MatrixDesc(K_, N_, false),
                            add);
    weight_product_.Run(onednn::As(a, a_transposed), b, weight_diff);
  } else {
    weight_product_.Prepare(b_transposed, BottomDesc(),
                            MatrixDesc(N_, K_, false), add);
    weight_product_.Run(onednn::As(b, b_transposed), a, weight_diff);
  }
}

void OneDNNInnerProductLayer::BottomGradient(const Blob<float>& top,
    float* bottom_diff) {
  if (factor_type() == kFloat) {
    return Multiply('N', transpose_ ? 'T' : 'N', M_, K_, N_, top.cpu_diff(),
                    blobs_[0]->cpu_data(), 0.f, bottom_diff);
  }
  const onednn::Desc transposed =
      MatrixDesc(N_, K_, transpose_, factor_type());
  bottom_product_.Prepare(TopDesc(), transposed, MatrixDesc(M_, K_, false),
                          false);
  const dnnl::memory top_diff = param_propagate_down_[0] ?
      top_diff_.ReadAgain(top.diff().get(), {M_, N_}, TopDesc()) :
      top_diff_.Read(top.diff().get(), {M_, N_}, TopDesc());
  const dnnl::memory weight = weight_.ReadAgain(
      blobs_[0]->data().get(), WeightDims(), StoredWeightDesc());
  bottom_product_.Run(top_diff, onednn::As(weight, transposed), bottom_diff);
}

void OneDNNInnerProductLayer::Backward_cpu(const vector<Blob<float>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom) {
  if (param_propagate_down_[0]) {
    const bool add = !blobs_[0]->diff()->take_zero();
    WeightGradient(*bottom[0], *top[0], add, blobs_[0]->mutable_cpu_diff());
  }
  if (bias_term_ && param_propagate_down_[1]) {
    const float beta = blobs_[1]->diff()->take_zero() ? 0.f : 1.f;
    caffe_cpu_gemv<float>(CblasTrans, M_, N_, 1.f, top[0]->cpu_diff(),
        bias_multiplier_.cpu_data(), beta, blobs_[1]->mutable_cpu_diff());
  }
  if (propagate_down[0]) {
    BottomGradient(*top[0], bottom[0]->mutable_cpu_diff());
  }
}

}  // namespace caffe
