#include <glog/logging.h>
#include <unistd.h>

#include "caffe/util/fatal_exit.hpp"

namespace caffe {

namespace {

void FatalExit() {
  _exit(1);
}

// For programs, and pycaffe's users, that never initialise glog.
struct AtLoad {
  AtLoad() { InstallFatalExit(); }
} at_load;

}  // namespace

void InstallFatalExit() {
  google::InstallFailureFunction(&FatalExit);
}

}  // namespace caffe
