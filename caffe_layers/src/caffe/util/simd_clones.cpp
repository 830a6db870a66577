#include "caffe/util/simd_clones.hpp"

namespace caffe {

const char* SimdLevel() {
#ifdef CAFFE_SIMD_LEVEL
  return CAFFE_SIMD_LEVEL;
#else
  return "";
#endif
}

}  // namespace caffe
