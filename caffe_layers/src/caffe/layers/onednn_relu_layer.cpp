#include "caffe/layers/onednn_relu_layer.hpp"

#include <vector>

#include "caffe/util/relu.hpp"

namespace caffe {

using dnnl::memory;

void OneDNNReLULayer::Forward_cpu(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  const memory::dims dims = onednn::FlatDims(*bottom[0],
                                             *bottom[0]->data());
  SyncedMemory* top_data = top[0]->data().get();
  if (bottom[0] == top[0]) {
    const memory x = in_place_.Begin(top_data, dims);
    ReLUForward(Slope(), onednn::Count(x), onednn::Values(x),
                onednn::Values(x));
    return in_place_.End(top_data);
  }
  const memory x = onednn::Here(bottom[0]->data().get(), dims);
  const memory y = top_data_.Begin(top_data, dims, x.get_desc());
  ReLUForward(Slope(), onednn::Count(x), onednn::Values(x), onednn::Values(y));
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
  ReLUBackward(Slope(), onednn::Count(x), onednn::Values(x),
               onednn::Values(gradient_.top()),
               onednn::Values(gradient_.bottom()));
  gradient_.End();
}

}  // namespace caffe
