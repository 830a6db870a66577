#ifndef CAFFE_ONEDNN_INNER_PRODUCT_LAYER_HPP_
#define CAFFE_ONEDNN_INNER_PRODUCT_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/inner_product_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/onednn_blobs.hpp"
#include "caffe/util/onednn_product.hpp"

namespace caffe {

/**
 * @brief The inner product by oneDNN's matrix products on the CPU, with the
 *        bias. With `bfloat16: true` factors are rounded to bfloat16; sums, blobs
 *        and parameters stay float.
 */
class OneDNNInnerProductLayer : public InnerProductLayer<float> {
 public:
  explicit OneDNNInnerProductLayer(const LayerParameter& param)
      : InnerProductLayer<float>(param), type_(onednn::FactorType(param)) {}

 protected:
  virtual void Forward_cpu(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);
  virtual void Backward_cpu(const vector<Blob<float>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom);

 private:
  /// With few rows a product takes less time than converting the weights.
  onednn::Type factor_type() const {
    return M_ < 128 ? onednn::kFloat : type_;
  }
  onednn::Desc BottomDesc() const {
    return onednn::MatrixDesc(M_, K_, false, factor_type());
  }
  onednn::Desc WeightDesc() const {
    return onednn::MatrixDesc(K_, N_, !transpose_, factor_type());
  }
  /// Of the weights in a row-major matrix, as they lie in their blob.
  dnnl::memory::dims WeightDims() const {
    return transpose_ ? dnnl::memory::dims{K_, N_} :
        dnnl::memory::dims{N_, K_};
  }
  onednn::Desc StoredWeightDesc() const {
    return onednn::MatrixDesc(WeightDims()[0], WeightDims()[1], false,
                              factor_type());
  }
  onednn::Desc TopDesc() const {
    return onednn::MatrixDesc(M_, N_, false, factor_type());
  }
  void ForwardRow(const float* bottom, const float* weight, float* top) const;
  void WeightGradient(const Blob<float>& bottom, const Blob<float>& top,
                      bool add, float* weight_diff);
  void BottomGradient(const Blob<float>& top, float* bottom_diff);

  const onednn::Type type_;  // of the factors, if there are many rows
  onednn::Product forward_, weight_product_, bottom_product_;
  onednn::Reader bottom_, weight_, top_diff_;
};

}  // namespace caffe

#endif  // CAFFE_ONEDNN_INNER_PRODUCT_LAYER_HPP_
