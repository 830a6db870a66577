#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

#include "caffe/util/math_functions.hpp"
#include "caffe/util/relu.hpp"

#include "caffe/test/test_caffe_main.hpp"

namespace caffe {

// Against the formulas, element by element, with special values among them.
template <typename Dtype>
class ReLUVectorsTest : public ::testing::Test {
 protected:
  static vector<Dtype> Numbers(const int count, const int seed) {
    vector<Dtype> x(count);
    Caffe::set_random_seed(seed);
    caffe_rng_gaussian<Dtype>(count, 0, 1, x.data());
    const Dtype special[] = {0, -Dtype(0),
        std::numeric_limits<Dtype>::infinity(),
        -std::numeric_limits<Dtype>::infinity(),
        std::numeric_limits<Dtype>::quiet_NaN()};
    for (int i = 0; i < 5 && i < count; ++i) {
      x[i * (count / 5)] = special[i];
    }
    return x;
  }

  static void ExpectSame(const vector<Dtype>& expected,
      const vector<Dtype>& actual) {
    for (int i = 0; i < expected.size(); ++i) {
      if (std::isnan(expected[i])) {
        ASSERT_TRUE(std::isnan(actual[i])) << i;
      } else {
        ASSERT_EQ(expected[i], actual[i]) << i;
        ASSERT_EQ(std::signbit(expected[i]), std::signbit(actual[i])) << i;
      }
    }
  }
};

TYPED_TEST_CASE(ReLUVectorsTest, TestDtypes);

TYPED_TEST(ReLUVectorsTest, TestForwardAndBackward) {
  typedef TypeParam Dtype;
  // One element, less and more than a vector, and enough for threads.
  for (const int count : {1, 7, 1001, 300007}) {
    const vector<Dtype> x = this->Numbers(count, 1);
    const vector<Dtype> dy = this->Numbers(count, 2);
    for (const Dtype slope : {Dtype(0), Dtype(0.1), Dtype(-0.5)}) {
      vector<Dtype> y(count), dx(count);
      for (int i = 0; i < count; ++i) {
        y[i] = std::max(x[i], Dtype(0)) + slope * std::min(x[i], Dtype(0));
        dx[i] = dy[i] * ((x[i] > 0) + slope * (x[i] <= 0));
      }
      vector<Dtype> apart(count), in_place = x;
      ReLUForward(slope, count, x.data(), apart.data());
      this->ExpectSame(y, apart);
      ReLUForward(slope, count, in_place.data(), in_place.data());
      this->ExpectSame(y, in_place);
      in_place = dy;
      ReLUBackward(slope, count, x.data(), dy.data(), apart.data());
      this->ExpectSame(dx, apart);
      ReLUBackward(slope, count, x.data(), in_place.data(), in_place.data());
      this->ExpectSame(dx, in_place);
    }
  }
}

}  // namespace caffe
