#ifndef CAFFE_UTIL_ONEDNN_PRODUCT_HPP_
#define CAFFE_UTIL_ONEDNN_PRODUCT_HPP_

#include "caffe/util/onednn.hpp"

namespace caffe {
namespace onednn {

/// C = A B, or C += A B, with a bias to each row if asked for. Sums are float.
class Product {
 public:
  void Prepare(const Desc& a, const Desc& b, const Desc& c, bool add,
               bool bias = false);
  void Run(const dnnl::memory& a, const dnnl::memory& b, float* c,
           const float* bias = NULL) const;

 private:
  dnnl::matmul primitive_;
  Desc a_, b_, c_;
  bool add_, bias_;
};

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_UTIL_ONEDNN_PRODUCT_HPP_
