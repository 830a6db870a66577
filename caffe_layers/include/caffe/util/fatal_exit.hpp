#ifndef CAFFE_UTIL_FATAL_EXIT_HPP_
#define CAFFE_UTIL_FATAL_EXIT_HPP_

namespace caffe {

// Makes a failed check end the process with exit code 1 once its message has
// been printed, without the stack trace and the core dump that glog adds: what
// failed is as a rule the user's prototxt or data, and Caffe's words say so.
void InstallFatalExit();

}  // namespace caffe

#endif  // CAFFE_UTIL_FATAL_EXIT_HPP_
