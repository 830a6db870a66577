#ifndef CAFFE_MULTI_T_LOSS_LAYER_HPP_
#define CAFFE_MULTI_T_LOSS_LAYER_HPP_

#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"

#include "caffe/layers/loss_layer.hpp"

namespace caffe {

/**
 * @brief Clusters embedded points by a mixture of Student's t kernels: the
 *        loss of Deep Embedded Clustering @f$
 *          L = \frac{1}{n} \sum\limits_{i=1}^n \sum\limits_{j=1}^N
 *              p_{ij} \log \frac{p_{ij}}{q_{ij}} @f$, the Kullback-Leibler
 *        divergence of the soft assignments @f$ q @f$ from the targets
 *        @f$ p @f$ (Xie, Girshick, Farhadi: Unsupervised Deep Embedding for
 *        Clustering Analysis, ICML 2016, equation 2).
 *
 * The soft assignments (equation 1, with a variance for each center and axis)
 * are @f$
 *   q_{ij} = \frac{c_j (1 + d_{ij} / \alpha)^{-\frac{\alpha + 1}{2}}}
 *                 {\sum_{j'} c_{j'} (1 + d_{ij'} / \alpha)
 *                  ^{-\frac{\alpha + 1}{2}}} @f$, where @f$
 *   d_{ij} = \sum\limits_{k=1}^K s_{kj} (z_{ik} - \mu_{kj})^2 @f$ and @f$
 *   c_j = \sqrt{\prod_k s_{kj}} @f$.
 *
 * @param bottom input Blob vector (length 1 to 2)
 *   -# @f$ (n \times K \times ...) @f$
 *      the embedded points @f$ z @f$; K is the product of all axes but the
 *      first
 *   -# @f$ (n \times N \times ...) @f$
 *      the targets @f$ p_{ij} \geq 0 @f$; rows need not sum to one, and
 *      @f$ p_{ij} = 0 @f$ adds nothing to the loss
 * @param top output Blob vector (length 1 to 4 with two bottoms)
 *   -# @f$ () @f$
 *      the loss @f$ L @f$
 *   -# @f$ () @f$
 *      std, the root mean square distance of the points to their center,
 *      @f$ \sqrt{\frac{1}{n} \sum_{ij} q_{ij} d_{ij}} @f$
 *   -# @f$ (n) @f$
 *      ind, the most probable cluster @f$ \arg\max_j q_{ij} @f$, the first of
 *      equals
 *   -# @f$ (n \times N) @f$
 *      proba, the soft assignments @f$ q_{ij} @f$
 *
 * With one bottom, the points, there is no loss and the two tops are ind and
 * proba: the form for deploy nets. Only the loss has a gradient, and so only
 * the loss may have a loss_weight (1 by default; the others may be left out).
 *
 * The parameter blobs are
 *   -# @f$ (K \times N) @f$
 *      the centers @f$ \mu @f$, filled by weight_filler, else zero
 *   -# @f$ (K \times N) @f$
 *      the inverse variances @f$ s > 0 @f$, initially one
 *   -# @f$ (N) @f$
 *      the mixing weights, 1 / N, kept for old models: the loss does not
 *      depend on them
 *
 * DEC trains the centers only. The Net takes the learning rates from the
 * prototxt alone, so give three param messages, the last two with lr_mult: 0.
 *
 * multi_t_loss_param holds num_center (N, required), alpha (degrees of freedom,
 * default 1) and weight_filler. Its lambda, beta and bandwidth are accepted so
 * that old networks load, and have no effect, as in the original.
 *
 * What differs from the layer of the authors' Caffe fork of 2014:
 *   - there are CPU passes, and the GPU passes run wholly on the device;
 *   - std and ind are computed; the fork left them unwritten;
 *   - weight_filler fills the centers; the fork ignored it;
 *   - logarithms of the kernels are kept, so that distant points do not
 *     underflow, and @f$ p_{ij} = 0 @f$ is allowed;
 *   - targets that do not sum to one have their true gradient;
 *   - parameter gradients accumulate, as iter_size needs, and the inverse
 *     variances have a gradient;
 *   - the form with one bottom is new, and bad input is fatal.
 */
template <typename Dtype>
class MultiTLossLayer : public LossLayer<Dtype> {
 public:
  explicit MultiTLossLayer(const LayerParameter& param)
      : LossLayer<Dtype>(param) {}
  virtual void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
      const vector<Blob<Dtype>*>& top);
  virtual void Reshape(const vector<Blob<Dtype>*>& bottom,
      const vector<Blob<Dtype>*>& top);

  virtual inline const char* type() const { return "MultiTLoss"; }
  virtual inline bool AutoTopBlobs() const { return false; }
  virtual inline int ExactNumBottomBlobs() const { return -1; }
  virtual inline int MinBottomBlobs() const { return 1; }
  virtual inline int MaxBottomBlobs() const { return 2; }
  virtual inline int ExactNumTopBlobs() const { return -1; }
  virtual inline int MinTopBlobs() const { return 1; }
  virtual inline int MaxTopBlobs() const { return 4; }

 protected:
  /// @copydoc MultiTLossLayer
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
      const vector<Blob<Dtype>*>& top);
  virtual void Forward_gpu(const vector<Blob<Dtype>*>& bottom,
      const vector<Blob<Dtype>*>& top);

  /**
   * @brief Computes the gradient of the loss w.r.t. the points and the
   *        parameters, not the targets.
   *
   * With @f$ P_i = \sum_j p_{ij} @f$ (one for a distribution) and @f$
   *   m_{ij} = \frac{\alpha + 1}{\alpha} (1 + d_{ij} / \alpha)^{-1}
   *            (p_{ij} - P_i q_{ij}) @f$, the gradients (eq. 4, 5) are @f$
   *   \frac{\partial L}{\partial z_{ik}} =
   *       \frac{1}{n} \sum_j m_{ij} s_{kj} (z_{ik} - \mu_{kj}) @f$, @f$
   *   \frac{\partial L}{\partial \mu_{kj}} =
   *       -\frac{1}{n} \sum_i m_{ij} s_{kj} (z_{ik} - \mu_{kj}) @f$ and @f$
   *   \frac{\partial L}{\partial s_{kj}} =
   *       \frac{1}{2 n} \sum_i \left( m_{ij} (z_{ik} - \mu_{kj})^2
   *           - (p_{ij} - P_i q_{ij}) / s_{kj} \right) @f$.
   *
   * @param top output Blob vector; the diff of top[0] is the loss weight, and
   *      the diffs of the others are ignored
   * @param propagate_down see Layer::Backward; propagate_down[1] must be false
   * @param bottom input Blob vector; the diff of bottom[0] is overwritten, and
   *      the diffs of the parameter blobs are added to
   */
  virtual void Backward_cpu(const vector<Blob<Dtype>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom);
  virtual void Backward_gpu(const vector<Blob<Dtype>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom);

  /// The four tops; a net may ask for fewer.
  enum Top { LOSS, STD, IND, PROBA };
  /// The top in that role, or NULL if the net does not ask for it.
  Blob<Dtype>* FindTop(const vector<Blob<Dtype>*>& top, const Top role) const;

  /// "MultiTLoss layer 'name': ", the start of every message.
  string Name() const;
  void CheckTops(const vector<Blob<Dtype>*>& top) const;
  void CheckLossWeights() const;
  void CheckPropagateDown(const vector<bool>& propagate_down) const;
  void CheckLoss(const Dtype loss) const;
  /// Fatal unless low <= value < infinity for all values; NaN fails too.
  void CheckValues(const Blob<Dtype>& blob, const Dtype low,
      const string& what) const;
  void CheckInputs(const vector<Blob<Dtype>*>& bottom) const;
  void InitBlobs();
  void CheckBlobs() const;

  /// Subtracts the median center from points and centers.
  void Center_cpu(const Dtype* z);
  /// Fills dist_ from z by matrix products.
  void Distance_cpu(const Dtype* z);
  /// d_ij from the differences, for where the products cancel.
  Dtype ExactDistance(const Dtype* z, const int i, const int j) const;
  /// Fills log_prob_ and prob_ from dist_.
  void Softmax_cpu();
  Dtype Loss_cpu(const Dtype* p) const;
  Dtype Std_cpu() const;
  void Argmax_cpu(Dtype* ind) const;

  /// Fills the diffs of log_prob_ and dist_; weight is loss weight / n.
  void KernelDiff_cpu(const Dtype* p, const Dtype weight);
  void PointsDiff_cpu(Dtype* z_diff);
  void CenterDiff_cpu();
  void VarianceDiff_cpu();

  int num_;  // n, the points of the batch
  int dim_;  // K, the width of a point
  int num_center_;  // N
  Dtype alpha_;
  bool has_targets_;  // two bottoms

  Blob<Dtype> dist_;  // d_ij; cached for backward pass, as is its diff there
  Blob<Dtype> log_prob_;  // log q_ij; diff: dL / d(log of the kernel)
  Blob<Dtype> prob_;  // q_ij; cached for backward pass
  Blob<Dtype> log_norm_;  // log c_j
  Blob<Dtype> ones_;  // n ones, to sum over the batch
  Blob<Dtype> row_sum_;  // tmp storage for gpu forward pass

  // For the CPU passes, which shift points and centers by the median center
  // lest distances lose digits far from the origin.
  Blob<Dtype> shift_;  // the median center
  Blob<Dtype> points_;  // z - shift; cached for backward pass; diff: tmp
  Blob<Dtype> points_sq_;  // its square; cached for backward pass
  Blob<Dtype> centers_;  // mu - shift; cached for backward pass; diff: tmp
  Blob<Dtype> scaled_centers_;  // s (mu - shift); cached for backward pass
  Blob<Dtype> center_sq_;  // sum_k s (mu - shift)^2
  Blob<Dtype> column_sum_;  // tmp storage for cpu backward pass
};

}  // namespace caffe

#endif  // CAFFE_MULTI_T_LOSS_LAYER_HPP_
