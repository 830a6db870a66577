#include "caffe/util/onednn_product.hpp"

namespace caffe {
namespace onednn {

void Product::Prepare(const Desc& a, const Desc& b, const Desc& c, bool add,
                      bool bias) {
  if (primitive_ && a == a_ && b == b_ && c == c_ && add == add_ &&
      bias == bias_) {
    return;
  }
  a_ = a;
  b_ = b;
  c_ = c;
  add_ = add;
  bias_ = bias;
  dnnl::post_ops operations;
  if (add) { operations.append_sum(1.f); }
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(operations);
  typedef dnnl::matmul::desc Operation;
  const Operation operation = bias ?
      Make<Operation>(a, b, MatrixDesc(1, c.dims()[1], false), c) :
      Make<Operation>(a, b, c);
  primitive_ = Make<dnnl::matmul>(Make<dnnl::matmul::primitive_desc>(
      operation, attributes, Engine()));
}

void Product::Run(const dnnl::memory& a, const dnnl::memory& b, float* c,
                  const float* bias) const {
  Arguments arguments = {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b},
                         {DNNL_ARG_DST, dnnl::memory(c_, Engine(), c)}};
  if (bias_) {
    arguments[DNNL_ARG_BIAS] = dnnl::memory(
        MatrixDesc(1, c_.dims()[1], false), Engine(),
        const_cast<float*>(bias));
  }
  Execute(primitive_, arguments);
}

}  // namespace onednn
}  // namespace caffe
