#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "caffe/filler.hpp"
#include "caffe/layers/multi_t_loss_layer.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void MultiTLossLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
    const vector<Blob<Dtype>*>& top) {
  const MultiTLossParameter& param = this->layer_param_.multi_t_loss_param();
  num_center_ = param.num_center();
  CHECK_GT(num_center_, 0) << Name() << "multi_t_loss_param.num_center is "
      << "missing or zero: set it to the number of clusters.";
  alpha_ = param.alpha();
  CHECK(alpha_ > 0 && alpha_ <= std::numeric_limits<float>::max()) << Name()
      << "multi_t_loss_param.alpha is " << alpha_ << ": set it to a positive, "
      << "finite number, or leave it out for 1.";
  has_targets_ = bottom.size() == 2;
  dim_ = bottom[0]->count(1);
  CHECK_GT(dim_, 0) << Name() << "bottom[0] (the points) is empty.";
  CheckTops(top);
  CheckLossWeights();
  if (has_targets_) {
    LossLayer<Dtype>::LayerSetUp(bottom, top);
    while (this->layer_param_.loss_weight_size() < top.size()) {
      this->layer_param_.add_loss_weight(0);
    }
  }
  if (this->blobs_.size() > 0) {
    LOG(INFO) << "Skipping parameter initialization";
  } else {
    InitBlobs();
  }
  CheckBlobs();
  this->param_propagate_down_.resize(this->blobs_.size(), true);
  LOG_IF(WARNING, has_targets_ && this->phase_ == TRAIN &&
      this->layer_param_.param_size() < 2) << Name() << "the inverse variances "
      << "are trained too; for DEC give param { lr_mult: 1 } for the centers "
      << "and param { lr_mult: 0 } twice.";
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
    const vector<Blob<Dtype>*>& top) {
  num_ = bottom[0]->shape(0);
  CHECK_GT(num_, 0) << Name() << "bottom[0] (the points) has no rows.";
  CHECK_EQ(bottom[0]->count(1), dim_) << Name()
      << "the width of bottom[0] (the points) differs from that of the centers";
  if (has_targets_) {
    CHECK_EQ(bottom[1]->shape(0), num_) << Name()
        << "bottom[1] (the targets) and bottom[0] (the points) differ in rows.";
    CHECK_EQ(bottom[1]->count(1), num_center_) << Name()
        << "bottom[1] (the targets) is " << bottom[1]->count(1)
        << " wide, but multi_t_loss_param.num_center is " << num_center_
        << ": each point needs one target for each cluster.";
  }
  const vector<int> scalar_shape(0);
  const vector<int> ind_shape(1, num_);
  const vector<int> center_shape(1, num_center_);
  vector<int> prob_shape(1, num_);
  prob_shape.push_back(num_center_);
  vector<int> points_shape(1, num_);
  points_shape.push_back(dim_);
  for (int role = LOSS; role <= PROBA; ++role) {
    Blob<Dtype>* blob = FindTop(top, Top(role));
    if (blob) {
      blob->Reshape(role == PROBA ? prob_shape :
                    role == IND ? ind_shape : scalar_shape);
    }
  }
  dist_.Reshape(prob_shape);
  log_prob_.Reshape(prob_shape);
  prob_.Reshape(prob_shape);
  log_norm_.Reshape(center_shape);
  shift_.Reshape(vector<int>(1, dim_));
  points_.Reshape(points_shape);
  points_sq_.Reshape(points_shape);
  centers_.ReshapeLike(*this->blobs_[0]);
  scaled_centers_.ReshapeLike(*this->blobs_[0]);
  center_sq_.Reshape(center_shape);
  column_sum_.Reshape(center_shape);
  row_sum_.Reshape(ind_shape);
  if (ones_.count() != num_) {
    ones_.Reshape(ind_shape);
    caffe_set(num_, Dtype(1), ones_.mutable_cpu_data());
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::InitBlobs() {
  vector<int> shape(1, dim_);
  shape.push_back(num_center_);
  this->blobs_.resize(3);
  this->blobs_[0].reset(new Blob<Dtype>(shape));
  this->blobs_[1].reset(new Blob<Dtype>(shape));
  this->blobs_[2].reset(new Blob<Dtype>(vector<int>(1, num_center_)));
  // A FillerParameter that is not given fills with zeros.
  shared_ptr<Filler<Dtype> > filler(GetFiller<Dtype>(
      this->layer_param_.multi_t_loss_param().weight_filler()));
  filler->Fill(this->blobs_[0].get());
  caffe_set(dim_ * num_center_, Dtype(1), this->blobs_[1]->mutable_cpu_data());
  caffe_set(num_center_, Dtype(1) / num_center_,
      this->blobs_[2]->mutable_cpu_data());
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::CheckBlobs() const {
  CHECK_EQ(this->blobs_.size(), 3) << Name() << "needs three parameter blobs: "
      << "centers, inverse variances, mixing weights.";
  for (int b = 0; b < 3; ++b) {
    const int rows = (b < 2) ? dim_ : 1;
    CHECK_EQ(this->blobs_[b]->count(), rows * num_center_) << Name()
        << "parameter blob " << b << " has shape "
        << this->blobs_[b]->shape_string() << ", but should be " << rows
        << " x " << num_center_ << " (width of the points x num_center).";
  }
}

template <typename Dtype>
string MultiTLossLayer<Dtype>::Name() const {
  return string(type()) + " layer '" + this->layer_param_.name() + "': ";
}

template <typename Dtype>
Blob<Dtype>* MultiTLossLayer<Dtype>::FindTop(const vector<Blob<Dtype>*>& top,
    const Top role) const {
  const int index = has_targets_ ? role : role - IND;
  return (index >= 0 && index < top.size()) ? top[index] : NULL;
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::CheckTops(const vector<Blob<Dtype>*>& top) const {
  if (!has_targets_) {
    CHECK_EQ(top.size(), 2) << Name() << "with one bottom (the points) takes "
        << "two tops: ind, proba. For loss and std, give the targets as "
        << "second bottom.";
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::CheckLossWeights() const {
  const int first = has_targets_ ? STD : LOSS;
  for (int i = first; i < this->layer_param_.loss_weight_size(); ++i) {
    CHECK_EQ(this->layer_param_.loss_weight(i), 0) << Name()
        << "loss_weight of top " << i << " must be zero: only the loss has a "
        << "gradient; std, ind and proba have none.";
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::CheckPropagateDown(
    const vector<bool>& propagate_down) const {
  if (!has_targets_ && propagate_down[0]) {
    LOG(FATAL) << Name() << "cannot backpropagate without targets: give them "
               << "as second bottom.";
  }
  if (has_targets_ && propagate_down[1]) {
    LOG(FATAL) << Name() << "cannot backpropagate to the targets (bottom[1]).";
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::CheckLoss(const Dtype loss) const {
  CHECK(std::isfinite(loss)) << Name() << "the loss is " << loss
      << ", not finite. Points, targets or parameters hold NaN, infinite, "
      << "negative or huge values; a lower learning rate may help.";
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::CheckValues(const Blob<Dtype>& blob,
    const Dtype low, const string& what) const {
  const Dtype* x = blob.cpu_data();
  for (int i = 0; i < blob.count(); ++i) {
    CHECK(x[i] >= low && x[i] <= std::numeric_limits<Dtype>::max()) << Name()
        << what << ", but value " << i << " of " << blob.shape_string()
        << " is " << x[i] << ".";
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::CheckInputs(
    const vector<Blob<Dtype>*>& bottom) const {
  const Dtype lowest = -std::numeric_limits<Dtype>::max();
  CheckValues(*bottom[0], lowest, "bottom[0] (the points) must be finite");
  CheckValues(*this->blobs_[0], lowest, "blob 0 (the centers) must be finite");
  CheckValues(*this->blobs_[1], std::numeric_limits<Dtype>::min(),
      "blob 1 (the inverse variances) must be positive and finite");
  if (has_targets_) {
    CheckValues(*bottom[1], 0,
        "bottom[1] (the targets) must be finite and not negative");
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::Center_cpu(const Dtype* z) {
  const Dtype* mu = this->blobs_[0]->cpu_data();
  Dtype* shift = shift_.mutable_cpu_data();
  Dtype* centers = centers_.mutable_cpu_data();
  for (int k = 0; k < dim_; ++k, mu += num_center_, centers += num_center_) {
    vector<Dtype> row(mu, mu + num_center_);
    std::nth_element(row.begin(), row.begin() + num_center_ / 2, row.end());
    shift[k] = row[num_center_ / 2];
    for (int j = 0; j < num_center_; ++j) {
      centers[j] = mu[j] - shift[k];
    }
  }
  Dtype* points = points_.mutable_cpu_data();
  caffe_copy(num_ * dim_, z, points);
  caffe_cpu_gemm(CblasNoTrans, CblasNoTrans, num_, dim_, 1, Dtype(-1),
      ones_.cpu_data(), shift, Dtype(1), points);
  caffe_sqr(num_ * dim_, points, points_sq_.mutable_cpu_data());
}

template <typename Dtype>
Dtype MultiTLossLayer<Dtype>::ExactDistance(const Dtype* z, const int i,
    const int j) const {
  const Dtype* mu = this->blobs_[0]->cpu_data() + j;
  const Dtype* s = this->blobs_[1]->cpu_data() + j;
  Dtype dist = 0;
  for (int k = 0; k < dim_; ++k) {
    const Dtype diff = z[i * dim_ + k] - mu[k * num_center_];
    dist += s[k * num_center_] * diff * diff;
  }
  return dist;
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::Distance_cpu(const Dtype* z) {
  Center_cpu(z);
  const Dtype* s = this->blobs_[1]->cpu_data();
  const Dtype* centers = centers_.cpu_data();
  Dtype* scaled_centers = scaled_centers_.mutable_cpu_data();
  Dtype* center_sq = center_sq_.mutable_cpu_data();
  caffe_mul(dim_ * num_center_, s, centers, scaled_centers);
  caffe_set(num_center_, Dtype(0), center_sq);
  for (int kj = 0; kj < dim_ * num_center_; ++kj) {
    center_sq[kj % num_center_] += scaled_centers[kj] * centers[kj];
  }
  // d_ij = sum_k s_kj z_ik^2 + sum_k s_kj mu_kj^2 - 2 sum_k z_ik s_kj mu_kj
  Dtype* dist = dist_.mutable_cpu_data();
  Dtype* cross = log_prob_.mutable_cpu_data();  // not needed yet
  caffe_cpu_gemm(CblasNoTrans, CblasNoTrans, num_, num_center_, dim_, Dtype(1),
      points_sq_.cpu_data(), s, Dtype(0), dist);
  caffe_cpu_gemm(CblasNoTrans, CblasNoTrans, num_, num_center_, 1, Dtype(1),
      ones_.cpu_data(), center_sq, Dtype(1), dist);
  caffe_cpu_gemm(CblasNoTrans, CblasNoTrans, num_, num_center_, dim_, Dtype(-2),
      points_.cpu_data(), scaled_centers, Dtype(0), cross);
  const Dtype max = std::numeric_limits<Dtype>::max();
  for (int ij = 0; ij < num_ * num_center_; ++ij) {
    const Dtype squares = dist[ij];
    dist[ij] += cross[ij];
    // Where a point is close to a center and both are far from the others,
    // the sum has lost its digits (or is negative).
    if (!(dist[ij] > Dtype(0.01) * squares)) {
      dist[ij] = ExactDistance(z, ij / num_center_, ij % num_center_);
    }
    CHECK(squares <= max && dist[ij] <= max) << Name()
        << "the squared distance of point " << ij / num_center_
        << " to center " << ij % num_center_ << " overflows.";
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::Softmax_cpu() {
  const Dtype* s = this->blobs_[1]->cpu_data();
  Dtype* log_norm = log_norm_.mutable_cpu_data();
  caffe_set(num_center_, Dtype(0), log_norm);
  for (int kj = 0; kj < dim_ * num_center_; ++kj) {
    log_norm[kj % num_center_] += log(s[kj]) / 2;
  }
  const Dtype* dist = dist_.cpu_data();
  Dtype* log_prob = log_prob_.mutable_cpu_data();
  Dtype* prob = prob_.mutable_cpu_data();
  for (int i = 0; i < num_; ++i) {
    for (int j = 0; j < num_center_; ++j) {
      log_prob[j] = log_norm[j] - (alpha_ + 1) / 2 * log1p(dist[j] / alpha_);
    }
    const Dtype max = *std::max_element(log_prob, log_prob + num_center_);
    Dtype sum = 0;
    for (int j = 0; j < num_center_; ++j) {
      log_prob[j] -= max;
      sum += exp(log_prob[j]);
    }
    for (int j = 0; j < num_center_; ++j) {
      log_prob[j] -= log(sum);
      prob[j] = exp(log_prob[j]);
    }
    dist += num_center_;
    log_prob += num_center_;
    prob += num_center_;
  }
}

template <typename Dtype>
Dtype MultiTLossLayer<Dtype>::Loss_cpu(const Dtype* p) const {
  const Dtype* log_prob = log_prob_.cpu_data();
  double loss = 0;
  for (int ij = 0; ij < num_ * num_center_; ++ij) {
    if (p[ij] != 0) {
      loss += p[ij] * (log(p[ij]) - log_prob[ij]);
    }
  }
  return loss / num_;
}

template <typename Dtype>
Dtype MultiTLossLayer<Dtype>::Std_cpu() const {
  const Dtype* prob = prob_.cpu_data();
  const Dtype* dist = dist_.cpu_data();
  double sum = 0;
  for (int ij = 0; ij < num_ * num_center_; ++ij) {
    sum += prob[ij] * dist[ij];
  }
  return sqrt(sum / num_);
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::Argmax_cpu(Dtype* ind) const {
  const Dtype* prob = prob_.cpu_data();
  for (int i = 0; i < num_; ++i, prob += num_center_) {
    ind[i] = std::max_element(prob, prob + num_center_) - prob;
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
    const vector<Blob<Dtype>*>& top) {
  CheckInputs(bottom);
  Distance_cpu(bottom[0]->cpu_data());
  Softmax_cpu();
  if (Blob<Dtype>* loss = FindTop(top, LOSS)) {
    loss->mutable_cpu_data()[0] = Loss_cpu(bottom[1]->cpu_data());
    CheckLoss(loss->cpu_data()[0]);
  }
  if (Blob<Dtype>* rms = FindTop(top, STD)) {
    rms->mutable_cpu_data()[0] = Std_cpu();
  }
  if (Blob<Dtype>* ind = FindTop(top, IND)) {
    Argmax_cpu(ind->mutable_cpu_data());
  }
  if (Blob<Dtype>* proba = FindTop(top, PROBA)) {
    caffe_copy(prob_.count(), prob_.cpu_data(), proba->mutable_cpu_data());
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::KernelDiff_cpu(const Dtype* p,
    const Dtype weight) {
  const Dtype* prob = prob_.cpu_data();
  const Dtype* dist = dist_.cpu_data();
  Dtype* kernel_diff = log_prob_.mutable_cpu_diff();
  Dtype* dist_diff = dist_.mutable_cpu_diff();
  for (int i = 0; i < num_; ++i) {
    Dtype p_sum = 0;
    for (int j = 0; j < num_center_; ++j) {
      p_sum += p[j];
    }
    for (int j = 0; j < num_center_; ++j) {
      kernel_diff[j] = weight * (p_sum * prob[j] - p[j]);
      dist_diff[j] = -(alpha_ + 1) / 2 / (alpha_ + dist[j]) * kernel_diff[j];
    }
    p += num_center_;
    prob += num_center_;
    dist += num_center_;
    kernel_diff += num_center_;
    dist_diff += num_center_;
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::PointsDiff_cpu(Dtype* z_diff) {
  // 2 sum_j dist_diff_ij s_kj (z_ik - mu_kj)
  const int count = num_ * dim_;
  Dtype* tmp = points_.mutable_cpu_diff();
  caffe_cpu_gemm(CblasNoTrans, CblasTrans, num_, dim_, num_center_, Dtype(2),
      dist_.cpu_diff(), this->blobs_[1]->cpu_data(), Dtype(0), tmp);
  caffe_mul(count, tmp, points_.cpu_data(), z_diff);
  caffe_cpu_gemm(CblasNoTrans, CblasTrans, num_, dim_, num_center_, Dtype(-2),
      dist_.cpu_diff(), scaled_centers_.cpu_data(), Dtype(1), z_diff);
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::CenterDiff_cpu() {
  // -2 s_kj sum_i dist_diff_ij (z_ik - mu_kj)
  const Dtype* s = this->blobs_[1]->cpu_data();
  const Dtype* centers = centers_.cpu_data();
  Dtype* moment = centers_.mutable_cpu_diff();
  Dtype* dist_sum = column_sum_.mutable_cpu_data();
  caffe_cpu_gemm(CblasTrans, CblasNoTrans, dim_, num_center_, num_, Dtype(1),
      points_.cpu_data(), dist_.cpu_diff(), Dtype(0), moment);
  caffe_cpu_gemv(CblasTrans, num_, num_center_, Dtype(1), dist_.cpu_diff(),
      ones_.cpu_data(), Dtype(0), dist_sum);
  Dtype* diff = this->blobs_[0]->mutable_cpu_diff();
  for (int kj = 0; kj < dim_ * num_center_; ++kj) {
    diff[kj] -= 2 * s[kj] *
        (moment[kj] - centers[kj] * dist_sum[kj % num_center_]);
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::VarianceDiff_cpu() {
  // sum_i (dist_diff_ij (z_ik - mu_kj)^2 + kernel_diff_ij / (2 s_kj))
  const Dtype* s = this->blobs_[1]->cpu_data();
  const Dtype* centers = centers_.cpu_data();
  Dtype* moment = centers_.mutable_cpu_diff();
  Dtype* moment_sq = scaled_centers_.mutable_cpu_diff();
  Dtype* dist_sum = column_sum_.mutable_cpu_data();
  Dtype* kernel_sum = column_sum_.mutable_cpu_diff();
  caffe_cpu_gemm(CblasTrans, CblasNoTrans, dim_, num_center_, num_, Dtype(1),
      points_.cpu_data(), dist_.cpu_diff(), Dtype(0), moment);
  caffe_cpu_gemm(CblasTrans, CblasNoTrans, dim_, num_center_, num_, Dtype(1),
      points_sq_.cpu_data(), dist_.cpu_diff(), Dtype(0), moment_sq);
  caffe_cpu_gemv(CblasTrans, num_, num_center_, Dtype(1), dist_.cpu_diff(),
      ones_.cpu_data(), Dtype(0), dist_sum);
  caffe_cpu_gemv(CblasTrans, num_, num_center_, Dtype(1), log_prob_.cpu_diff(),
      ones_.cpu_data(), Dtype(0), kernel_sum);
  Dtype* diff = this->blobs_[1]->mutable_cpu_diff();
  for (int kj = 0; kj < dim_ * num_center_; ++kj) {
    const int j = kj % num_center_;
    diff[kj] += moment_sq[kj] + kernel_sum[j] / (2 * s[kj]) +
        centers[kj] * (centers[kj] * dist_sum[j] - 2 * moment[kj]);
  }
}

template <typename Dtype>
void MultiTLossLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom) {
  CheckPropagateDown(propagate_down);
  if (!has_targets_) { return; }
  KernelDiff_cpu(bottom[1]->cpu_data(), top[0]->cpu_diff()[0] / num_);
  if (propagate_down[0]) {
    PointsDiff_cpu(bottom[0]->mutable_cpu_diff());
  }
  if (this->param_propagate_down_[0]) {
    CenterDiff_cpu();
  }
  if (this->param_propagate_down_[1]) {
    VarianceDiff_cpu();
  }
  // The mixing weights do not enter the loss: nothing is added to their diff.
}

#ifdef CPU_ONLY
STUB_GPU(MultiTLossLayer);
#endif

INSTANTIATE_CLASS(MultiTLossLayer);
REGISTER_LAYER_CLASS(MultiTLoss);

}  // namespace caffe
