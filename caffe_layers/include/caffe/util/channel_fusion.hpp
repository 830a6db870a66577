#ifndef CAFFE_UTIL_CHANNEL_FUSION_HPP_
#define CAFFE_UTIL_CHANNEL_FUSION_HPP_

#include <vector>

#include "caffe/util/channels.hpp"
#include "caffe/util/onednn_blobs.hpp"

namespace caffe {
namespace onednn {

// BatchNorm, Scale and ReLU in place, one after the other, are one pass over
// memory forward and two backward: each hands on what it would do, and ReLU
// (forward) and BatchNorm (backward) do it.

/// Sets `shape` to what a layout is; false where it is none of this kind.
bool SetChannels(const Desc& desc, Channels* shape);

/// Of each channel, with zeros for what fills up the last block.
vector<float> PaddedChannels(const Channels& shape, const float* values,
                             int count);

/// scale * x + shift, by channels.
struct PendingScale : public Pending {
  /// Values that are asked for go into `memory`.
  PendingScale(const shared_ptr<Layout>& x, const Channels& shape,
               const shared_ptr<LayoutMemory>& memory);
  virtual const Desc& desc() const { return x_desc; }
  virtual shared_ptr<Layout> Compute(bool again);
  virtual bool IsMadeOf(const Layout& layout) const {
    return x.get() == &layout;
  }

  const shared_ptr<Layout> x;
  const Desc x_desc;
  const Channels shape;
  vector<float> scale, shift;
  const shared_ptr<LayoutMemory> memory;
};

/// scale * g, by channels, of a gradient g that may have a ReLU to go through.
/// It lies where the blob is that it is the gradient of.
struct PendingGradient : public Pending {
  PendingGradient(const shared_ptr<Layout>& diff, const Channels& shape);
  virtual const Desc& desc() const { return diff_desc; }
  virtual shared_ptr<Layout> Compute(bool again);
  virtual bool IsMadeOf(const Layout& layout) const {
    return diff.get() == &layout || top.get() == &layout;
  }
  ReLUGradient gradient() const;

  const shared_ptr<Layout> diff;
  const Desc diff_desc;
  const Channels shape;
  shared_ptr<Layout> top;  // of the ReLU; NULL without one
  float slope;
  vector<float> scale;
  /// What Scale's forward pass was of, and the sums over channels of this
  /// gradient, and of it times that: BatchNorm needs them.
  shared_ptr<PendingScale> input;
  vector<float> sum, product;
};

/// The gradient that a layer gets, pending or not.
class IncomingGradient {
 public:
  /// Of a blob whose values the layer has in the layout `desc`. A gradient that
  /// is not there in this layout is read by `reader`.
  void Take(SyncedMemory* diff, const dnnl::memory::dims& dims,
            const Channels& shape, const Desc& desc, Reader* reader);
  /// The sums over channels of it, and of it times what `input` comes to.
  void Sums(const PendingScale& input, vector<float>* sum,
            vector<float>* product) const;
  /// scale() * gradient() is the gradient.
  ReLUGradient gradient() const {
    return {Values(diff_), top_ ? Values(top_->memory()) : NULL, slope_};
  }
  const vector<float>& scale() const { return scale_; }
  /// Where it lies, if it is a layout of the blob's own.
  const shared_ptr<Layout>& layout() const { return layout_; }
  const shared_ptr<Layout>& top() const { return top_; }

 private:
  Channels shape_;
  dnnl::memory diff_;
  float slope_;
  vector<float> scale_;
  shared_ptr<Layout> layout_, top_;
  shared_ptr<PendingGradient> pending_;
};

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_UTIL_CHANNEL_FUSION_HPP_
