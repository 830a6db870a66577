#ifdef _OPENMP
#include <omp.h>
#endif

#include <climits>
#include <cmath>
#include <string>
#include <vector>

#include "boost/scoped_ptr.hpp"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

#include "caffe/layers/dropout_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/solver.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/dropout.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/rng.hpp"

#include "caffe/test/test_caffe_main.hpp"

namespace caffe {

using boost::scoped_ptr;

// The known answers of Random123, the authors' library (kat_vectors there).
TEST(PhiloxTest, TestKnownAnswers) {
  const uint32_t known[3][10] = {  // counter, key, words
      {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
       0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
      {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0,
       0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
  for (int i = 0; i < 3; ++i) {
    uint32_t words[4];
    Philox4x32(known[i], known[i] + 4, words);
    for (int w = 0; w < 4; ++w) {
      EXPECT_EQ(known[i][6 + w], words[w]) << "vector " << i << ", word " << w;
    }
  }
}

template <typename Dtype>
class DropoutGeneratorTest : public ::testing::Test {
 protected:
  DropoutGeneratorTest() : key_(0x0123456789abcdefull) {}

  static vector<unsigned int> Mask(const uint64_t key, const int count,
      const double ratio) {
    vector<Dtype> x(count, 1), y(count);
    vector<unsigned int> mask(count);
    DropoutForward<Dtype>(key, static_cast<uint32_t>(UINT_MAX * ratio), 2,
        count, x.data(), mask.data(), y.data());
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(2 * mask[i], y[i]);
    }
    return mask;
  }

  // The top of a Dropout layer of ratio 0.3 on ones.
  static vector<Dtype> Pass(DropoutLayer<Dtype>* layer, Blob<Dtype>* bottom,
      Blob<Dtype>* top) {
    layer->Forward(vector<Blob<Dtype>*>(1, bottom),
        vector<Blob<Dtype>*>(1, top));
    return vector<Dtype>(top->cpu_data(), top->cpu_data() + top->count());
  }

  const uint64_t key_;
};

TYPED_TEST_CASE(DropoutGeneratorTest, TestDtypes);

TYPED_TEST(DropoutGeneratorTest, TestMaskIsMadeOfPhilox) {
  const int count = 1000;  // not whole chunks
  const vector<unsigned int> mask = this->Mask(this->key_, count, 0.3);
  const uint32_t key[2] = {static_cast<uint32_t>(this->key_),
                           static_cast<uint32_t>(this->key_ >> 32)};
  for (int i = 0; i < count; ++i) {
    uint32_t counter[4] = {0, 0, 0, 0};
    uint32_t words[4];
    counter[0] = i / 256 * 64 + i % 64;
    Philox4x32(counter, key, words);
    EXPECT_EQ(words[i % 256 / 64] > static_cast<uint32_t>(UINT_MAX * 0.3),
        mask[i] == 1) << "element " << i;
    EXPECT_LE(mask[i], 1);
  }
}

TYPED_TEST(DropoutGeneratorTest, TestFrequency) {
  const int count = 1 << 20;
  for (const double ratio : {0.1, 0.2, 0.5, 0.9}) {
    const vector<unsigned int> mask = this->Mask(this->key_, count, ratio);
    // Of one element, and of two that lie 1, 64 or 256 apart: five deviations.
    const double p = 1 - ratio, one = 5 * std::sqrt(p * ratio / count);
    const double two = 5 * std::sqrt(p * p * (1 - p * p) / count) + 2 * one;
    for (const int apart : {0, 1, 64, 256}) {
      double sum = 0;
      for (int i = 0; i < count; ++i) {
        sum += mask[i] * mask[(i + apart) % count];
      }
      EXPECT_NEAR(apart ? p * p : p, sum / count, apart ? two : one)
          << "ratio " << ratio << ", " << apart << " apart";
    }
  }
}

TYPED_TEST(DropoutGeneratorTest, TestKeysGiveOtherMasks) {
  const int count = 4096;
  const vector<unsigned int> mask = this->Mask(this->key_, count, 0.5);
  EXPECT_EQ(mask, this->Mask(this->key_, count, 0.5));
  for (int bit = 0; bit < 64; ++bit) {
    const vector<unsigned int> other =
        this->Mask(this->key_ ^ 1ull << bit, count, 0.5);
    int same = 0;
    for (int i = 0; i < count; ++i) {
      same += mask[i] == other[i];
    }
    EXPECT_NEAR(count / 2, same, 5 * std::sqrt(count / 4)) << "bit " << bit;
  }
}

TYPED_TEST(DropoutGeneratorTest, TestInPlaceAndBackward) {
  typedef TypeParam Dtype;
  const int count = 100003;  // worth threads, and not whole chunks
  vector<Dtype> x(count), y(count), in_place;
  vector<unsigned int> mask(count), mask_in_place(count);
  Caffe::set_random_seed(1);
  caffe_rng_gaussian<Dtype>(count, 0, 1, x.data());
  in_place = x;
  const uint32_t threshold = UINT_MAX / 5;
  const Dtype scale = 1.25;
  DropoutForward(this->key_, threshold, scale, count, x.data(), mask.data(),
      y.data());
  DropoutForward(this->key_, threshold, scale, count, in_place.data(),
      mask_in_place.data(), in_place.data());
  EXPECT_EQ(y, in_place);
  EXPECT_EQ(mask, mask_in_place);
  for (int i = 0; i < count; ++i) {
    ASSERT_EQ(x[i] * mask[i] * scale, y[i]);
  }
  vector<Dtype> dx(count);
  DropoutBackward(scale, count, x.data(), mask.data(), dx.data());
  EXPECT_EQ(y, dx);
  DropoutBackward(scale, count, x.data(), mask.data(), x.data());
  EXPECT_EQ(y, x);
}

#ifdef _OPENMP
TYPED_TEST(DropoutGeneratorTest, TestThreadsDoNotMatter) {
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const vector<unsigned int> mask = this->Mask(this->key_, 200001, 0.5);
  for (int n = 2; n <= 5; ++n) {
    omp_set_num_threads(n);
    EXPECT_EQ(mask, this->Mask(this->key_, 200001, 0.5)) << n << " threads";
  }
  omp_set_num_threads(threads);
}
#endif

TYPED_TEST(DropoutGeneratorTest, TestLayerFollowsTheSeed) {
  typedef TypeParam Dtype;
  Caffe::set_mode(Caffe::CPU);
  LayerParameter param;
  param.set_phase(TRAIN);
  param.mutable_dropout_param()->set_dropout_ratio(0.3);
  DropoutLayer<Dtype> layer(param);
  Blob<Dtype> bottom(2, 3, 40, 50), top;
  caffe_set(bottom.count(), Dtype(1), bottom.mutable_cpu_data());
  layer.SetUp(vector<Blob<Dtype>*>(1, &bottom), vector<Blob<Dtype>*>(1, &top));
  Caffe::set_random_seed(7);
  const vector<Dtype> first = this->Pass(&layer, &bottom, &top);
  const vector<Dtype> second = this->Pass(&layer, &bottom, &top);
  EXPECT_NE(first, second);
  Caffe::set_random_seed(7);
  EXPECT_EQ(first, this->Pass(&layer, &bottom, &top));
  EXPECT_EQ(second, this->Pass(&layer, &bottom, &top));
  const unsigned int next = caffe_rng_rand();
  // A pass takes two words, whatever its size.
  Caffe::set_random_seed(7);
  for (int i = 0; i < 4; ++i) {
    caffe_rng_rand();
  }
  EXPECT_EQ(next, caffe_rng_rand());
}

TYPED_TEST(DropoutGeneratorTest, TestTrainingGoesOnFromASnapshot) {
  typedef TypeParam Dtype;
  Caffe::set_mode(Caffe::CPU);
  string folder;
  MakeTempDir(&folder);
  const string text =
      "net_param { layer { name: 'one' type: 'DummyData' top: 'one' "
      "  dummy_data_param { shape { dim: 4 dim: 50 } "
      "    data_filler { type: 'constant' value: 1 } } } "
      "layer { name: 'drop' type: 'Dropout' bottom: 'one' top: 'drop' } "
      "layer { name: 'ip' type: 'InnerProduct' bottom: 'drop' top: 'ip' "
      "  loss_weight: 1 inner_product_param { num_output: 1 } } } "
      "base_lr: 0.1 lr_policy: 'fixed' momentum: 0.9 solver_mode: CPU "
      "random_seed: 1 snapshot: 3 snapshot_after_train: false "
      "snapshot_prefix: '" + folder + "/drop'";
  SolverParameter param;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param));
  vector<vector<Dtype> > weights;
  for (const bool resumes : {false, true}) {
    scoped_ptr<Solver<Dtype> > solver(
        SolverRegistry<Dtype>::CreateSolver(param));
    if (resumes) {
      solver->Restore((folder + "/drop_iter_3.solverstate").c_str());
    }
    solver->Step(5 - solver->iter());
    const Blob<Dtype>& weight = *solver->net()->params()[0];
    weights.push_back(vector<Dtype>(weight.cpu_data(),
        weight.cpu_data() + weight.count()));
  }
  EXPECT_EQ(weights[0], weights[1]);
}

}  // namespace caffe
