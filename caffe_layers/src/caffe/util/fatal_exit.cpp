#include <glog/logging.h>
#include <unistd.h>

namespace caffe {

namespace {

// A failed check has been printed by now. The process then ends with an exit
// code, not with a stack trace and a core dump: what failed is as a rule the
// user's prototxt or data, and its words are Caffe's message.
void FatalExit() {
  _exit(1);
}

struct InstallFatalExit {
  InstallFatalExit() { google::InstallFailureFunction(&FatalExit); }
} install_fatal_exit;

}  // namespace

}  // namespace caffe
