// The fused update of SGDSolver and of those of its subclasses that have one.

#include <cmath>
#include <string>
#include <typeinfo>
#include <vector>

#include "caffe/sgd_solvers.hpp"
#include "caffe/util/fused_update.hpp"

namespace caffe {

// What ClipGradients multiplies the gradients by.
template <typename Dtype>
Dtype SGDSolver<Dtype>::ClipFactor() {
  const Dtype clip_gradients = this->param_.clip_gradients();
  if (clip_gradients < 0) { return 1; }
  Dtype sumsq_diff = 0;
  for (const Blob<Dtype>* param : this->net_->learnable_params()) {
    sumsq_diff += param->sumsq_diff();
  }
  const Dtype l2norm_diff = std::sqrt(sumsq_diff);
  if (!(l2norm_diff > clip_gradients)) { return 1; }
  const Dtype scale_factor = clip_gradients / l2norm_diff;
  LOG(INFO) << "Gradient clipping: scaling down gradients (L2 norm "
      << l2norm_diff << " > " << clip_gradients << ") "
      << "by scale factor " << scale_factor;
  return scale_factor;
}

template <typename Dtype>
bool SGDSolver<Dtype>::ApplyFusedUpdate(const Dtype rate) {
  typedef UpdateRule<Dtype> Rule;
  Rule rule;
  // A subclass of somebody else's may compute updates of its own.
  if (typeid(*this) == typeid(SGDSolver<Dtype>)) {
    rule.kind = Rule::SGD;
  } else if (typeid(*this) == typeid(NesterovSolver<Dtype>)) {
    rule.kind = Rule::NESTEROV;
  } else if (typeid(*this) == typeid(AdamSolver<Dtype>)) {
    rule.kind = Rule::ADAM;
  } else {
    return false;
  }
  // The separate passes leave the update in the diffs, where these show it.
  if (Caffe::mode() != Caffe::CPU || this->param_.debug_info() ||
      this->param_.snapshot_diff()) {
    return false;
  }
  const string& regularization = this->param_.regularization_type();
  rule.decay = !this->param_.weight_decay() ? Rule::NONE :
      regularization == "L1" ? Rule::L1 : Rule::L2;
  if (rule.decay == Rule::L2 && regularization != "L2") {
    return false;  // Regularize reports it
  }
  rule.clip_factor = ClipFactor();
  rule.normalization = Dtype(1) / this->param_.iter_size();
  rule.momentum = GetMomentum();
  rule.momentum2 = this->param_.momentum2();
  rule.delta = this->param_.delta();
  Dtype correction = 1;
  if (rule.kind == Rule::ADAM) {
    const int t = this->iter_ + 1;
    correction = std::sqrt(Dtype(1) - pow(rule.momentum2, t)) /
        (Dtype(1) - pow(rule.momentum, t));
  }
  const Dtype weight_decay = this->param_.weight_decay();
  const vector<Blob<Dtype>*>& params = this->net_->learnable_params();
  vector<ParamUpdate<Dtype> > updates(params.size());
  for (int i = 0; i < params.size(); ++i) {
    updates[i].count = params[i]->count();
    updates[i].gradient = params[i]->cpu_diff();
    updates[i].weight = params[i]->mutable_cpu_data();
    updates[i].history = history_[i]->mutable_cpu_data();
    updates[i].history2 = rule.kind != Rule::ADAM ? NULL :
        history_[params.size() + i]->mutable_cpu_data();
    const Dtype local_rate = rate * this->net_->params_lr()[i];
    updates[i].rate = local_rate * correction;
    updates[i].decay = weight_decay * this->net_->params_weight_decay()[i];
    updates[i].momentum_mult = this->net_->params_momentum()[i];
  }
  caffe::ApplyFusedUpdate(rule, updates);
  return true;
}

template float SGDSolver<float>::ClipFactor();
template double SGDSolver<double>::ClipFactor();
template bool SGDSolver<float>::ApplyFusedUpdate(const float rate);
template bool SGDSolver<double>::ApplyFusedUpdate(const double rate);

}  // namespace caffe
