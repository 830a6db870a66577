#ifndef CAFFE_KEEPS_PASS_HPP_
#define CAFFE_KEEPS_PASS_HPP_

namespace caffe {

/// A layer that holds on to memory of its blobs between its forward and its
/// backward pass.
class KeepsPass {
 public:
  virtual ~KeepsPass() {}
  /// Called by Net before a forward pass that the layer has part in: what it
  /// holds from the last one will not be asked for, and others may write there.
  virtual void ForgetPass() = 0;
};

}  // namespace caffe

#endif  // CAFFE_KEEPS_PASS_HPP_
