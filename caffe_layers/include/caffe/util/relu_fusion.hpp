#ifndef CAFFE_UTIL_RELU_FUSION_HPP_
#define CAFFE_UTIL_RELU_FUSION_HPP_

#include <cstddef>

namespace caffe {

/**
 * @brief A layer that can do the ReLU behind it with its own work.
 *
 * The net says before each forward pass whether it may: not where the pass
 * ends between the two, nor where somebody looks at what lies between.
 */
class ReLUFuser {
 public:
  ReLUFuser() : fuse_(false), fused_(false) {}
  virtual ~ReLUFuser() {}
  void set_fuse(bool fuse) { fuse_ = fuse; }
  /// Whether the last pass did the ReLU; for the ReLU to ask, once.
  bool take_fused() {
    const bool fused = fused_;
    fused_ = false;
    return fused;
  }

 protected:
  bool fuse_;
  bool fused_;
};

/// @brief A ReLU that the layer before may have done.
class FusedReLU {
 public:
  FusedReLU() : fuser_(NULL) {}
  virtual ~FusedReLU() {}
  virtual bool CanBeFused() const = 0;
  void set_fuser(ReLUFuser* fuser) { fuser_ = fuser; }

 protected:
  bool IsDone() { return fuser_ && fuser_->take_fused(); }

 private:
  ReLUFuser* fuser_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_RELU_FUSION_HPP_
