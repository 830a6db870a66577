#include <cstdlib>

#include "gtest/gtest.h"

#include "caffe/util/simd_clones.hpp"

namespace caffe {

// run_tests.sh says which vector code the tests should run with.
TEST(SimdClonesTest, AreThoseAskedFor) {
  const char* asked = getenv("CAFFE_TEST_SIMD_LEVEL");
  EXPECT_STREQ(asked ? asked : "", SimdLevel());
}

}  // namespace caffe
