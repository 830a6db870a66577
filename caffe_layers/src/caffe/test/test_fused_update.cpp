#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "boost/scoped_ptr.hpp"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

#include "caffe/proto/caffe.pb.h"
#include "caffe/sgd_solvers.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/fused_update.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/rng.hpp"

#include "caffe/test/test_caffe_main.hpp"

namespace caffe {

using boost::scoped_ptr;

// With debug_info the solver's separate passes remain: what to compare with.
template <typename Dtype>
class FusedUpdateTest : public ::testing::Test {
 protected:
  static const int kIterations = 7;

  static SolverParameter Param(const string& more) {
    // Two layers, of which the first's weights are worth several threads; the
    // third shares the second's. The loss makes gradients of all signs.
    const string text =
        "net_param { "
        "layer { name: 'data' type: 'DummyData' top: 'x' top: 'y' "
        "  dummy_data_param { "
        "    shape { dim: 5 dim: 211 } shape { dim: 5 dim: 9 } "
        "    data_filler { type: 'gaussian' std: 1 } "
        "    data_filler { type: 'gaussian' std: 1 } } } "
        "layer { name: 'one' type: 'InnerProduct' bottom: 'x' top: 'one' "
        "  param { lr_mult: 1 decay_mult: 1 } "
        "  param { lr_mult: 2 decay_mult: 0 } "
        "  inner_product_param { num_output: 307 "
        "    weight_filler { type: 'gaussian' std: 0.1 } } } "
        "layer { name: 'two' type: 'InnerProduct' bottom: 'one' top: 'two' "
        "  param { name: 'w' lr_mult: 0.5 decay_mult: 3 } param { name: 'b' } "
        "  inner_product_param { num_output: 307 "
        "    weight_filler { type: 'gaussian' std: 0.05 } } } "
        "layer { name: 'three' type: 'InnerProduct' bottom: 'two' top: 'three' "
        "  param { name: 'w' } param { name: 'b' } "
        "  inner_product_param { num_output: 307 } } "
        "layer { name: 'out' type: 'InnerProduct' bottom: 'three' top: 'out' "
        "  inner_product_param { num_output: 9 "
        "    weight_filler { type: 'gaussian' std: 0.1 } } } "
        "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'out' bottom: 'y' "
        "  top: 'loss' } } "
        "base_lr: 0.001 lr_policy: 'fixed' solver_mode: CPU random_seed: 3 "
        "snapshot_after_train: false ";
    SolverParameter param, other;
    CHECK(google::protobuf::TextFormat::ParseFromString(text, &param));
    CHECK(google::protobuf::TextFormat::ParseFromString(more, &other));
    param.MergeFrom(other);
    return param;
  }

  static void Append(const Blob<Dtype>& blob, vector<Dtype>* all) {
    all->insert(all->end(), blob.cpu_data(), blob.cpu_data() + blob.count());
  }

  // All weights, then all history, after some iterations.
  static vector<Dtype> Train(const string& more) {
    Caffe::set_mode(Caffe::CPU);
    scoped_ptr<Solver<Dtype> > solver(
        SolverRegistry<Dtype>::CreateSolver(Param(more)));
    solver->Step(kIterations);
    vector<Dtype> all;
    for (const Blob<Dtype>* param : solver->net()->learnable_params()) {
      Append(*param, &all);
    }
    for (const auto& history :
         static_cast<SGDSolver<Dtype>*>(solver.get())->history()) {
      Append(*history, &all);
    }
    return all;
  }

  // Whether BLAS's axpy rounds all elements alike, the last ones too.
  static bool RoundsAlike() {
    const Dtype e = std::ldexp(Dtype(1),
        -(std::numeric_limits<Dtype>::digits / 2 + 1));
    vector<Dtype> x(1003, 1 + e), y(1003, -(1 + 2 * e));
    caffe_axpy<Dtype>(1003, 1 + e, x.data(), y.data());
    return std::count(y.begin(), y.end(), y[0]) == 1003;
  }

  // Both ways, numbers near 1 to the tolerance.
  static void ExpectAlike(const string& more, const double tolerance) {
    const vector<Dtype> fused = Train(more);
    const vector<Dtype> separate = Train(more + " debug_info: true");
    ASSERT_EQ(separate.size(), fused.size());
    double largest = 0;
    for (int i = 0; i < fused.size(); ++i) {
      ASSERT_TRUE(std::isfinite(fused[i])) << more << ", number " << i;
      ASSERT_NEAR(separate[i], fused[i], tolerance) << more << ", number " << i;
      largest = std::max<double>(largest, std::fabs(fused[i]));
    }
    EXPECT_GT(largest, 0.1);
  }

  static void ExpectSameBits(const string& more) {
    ExpectAlike(more, RoundsAlike() ? 0 : 1e-5);
  }
};

TYPED_TEST_CASE(FusedUpdateTest, TestDtypes);

TYPED_TEST(FusedUpdateTest, TestSGD) {
  this->ExpectSameBits("");
  this->ExpectSameBits("momentum: 0.9");
  this->ExpectSameBits("momentum: 0.9 momentum_burnin: 4");
}

TYPED_TEST(FusedUpdateTest, TestSGDDecay) {
  this->ExpectSameBits("momentum: 0.9 weight_decay: 0.003");
  this->ExpectSameBits(
      "momentum: 0.9 weight_decay: 0.003 regularization_type: 'L1'");
}

TYPED_TEST(FusedUpdateTest, TestSGDClipsAndAccumulates) {
  this->ExpectSameBits("momentum: 0.9 clip_gradients: 0.7");
  this->ExpectSameBits("momentum: 0.9 iter_size: 3");
  this->ExpectSameBits("momentum: 0.9 clip_gradients: 0.7 iter_size: 3 "
      "weight_decay: 0.003 lr_policy: 'inv' gamma: 0.1 power: 0.75");
}

TYPED_TEST(FusedUpdateTest, TestNesterov) {
  this->ExpectSameBits("type: 'Nesterov' momentum: 0.9");
  this->ExpectSameBits("type: 'Nesterov' momentum: 0.9 clip_gradients: 0.7 "
      "iter_size: 3 weight_decay: 0.003 momentum_burnin: 4");
}

TYPED_TEST(FusedUpdateTest, TestAdam) {
  // The root's last bit may differ.
  const double tolerance = sizeof(TypeParam) == 4 ? 1e-6 : 1e-13;
  this->ExpectAlike("type: 'Adam' momentum: 0.9 momentum2: 0.99", tolerance);
  this->ExpectAlike("type: 'Adam' momentum: 0.9 clip_gradients: 0.7 "
      "iter_size: 3 weight_decay: 0.003 delta: 1e-4", tolerance);
}

TYPED_TEST(FusedUpdateTest, TestClippingTakesEffect) {
  EXPECT_NE(this->Train("momentum: 0.9"),
            this->Train("momentum: 0.9 clip_gradients: 0.7"));
  EXPECT_NE(this->Train("momentum: 0.9"),
            this->Train("momentum: 0.9 weight_decay: 0.003"));
}

TYPED_TEST(FusedUpdateTest, TestDiffKeepsTheGradient) {
  // By which one sees, too, that the separate passes are not taken.
  typedef TypeParam Dtype;
  Caffe::set_mode(Caffe::CPU);
  for (const string type : {"SGD", "Nesterov", "Adam"}) {
    vector<vector<Dtype> > diffs;
    for (const bool updates : {false, true}) {
      scoped_ptr<Solver<Dtype> > solver(SolverRegistry<Dtype>::CreateSolver(
          this->Param("type: '" + type + "'")));
      if (updates) {
        solver->Step(1);
      } else {
        solver->net()->ClearParamDiffs();
        solver->net()->ForwardBackward();
      }
      const Blob<Dtype>& weights = *solver->net()->learnable_params()[0];
      diffs.push_back(vector<Dtype>(weights.cpu_diff(),
          weights.cpu_diff() + weights.count()));
    }
    EXPECT_EQ(diffs[0], diffs[1]) << type;
  }
}

TYPED_TEST(FusedUpdateTest, TestSnapshotDiffHoldsTheUpdate) {
  typedef TypeParam Dtype;
  Caffe::set_mode(Caffe::CPU);
  SolverParameter param = this->Param("momentum: 0.9 snapshot_diff: true");
  SGDSolver<Dtype> solver(param);
  const Blob<Dtype>& weights = *solver.net()->learnable_params()[0];
  for (int i = 0; i < 2; ++i) {
    const vector<Dtype> before(weights.cpu_data(),
        weights.cpu_data() + weights.count());
    solver.Step(1);
    for (int j = 0; j < weights.count(); ++j) {
      ASSERT_EQ(before[j] - weights.cpu_diff()[j], weights.cpu_data()[j]);
    }
  }
}

// A solver that is not one of Caffe's: its weights go to zero at once.
template <typename Dtype>
class ZeroSolver : public SGDSolver<Dtype> {
 public:
  explicit ZeroSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {}

 protected:
  virtual void ComputeUpdateValue(int param_id, Dtype rate) {
    Blob<Dtype>* param = this->net_->learnable_params()[param_id];
    caffe_copy(param->count(), param->cpu_data(), param->mutable_cpu_diff());
  }
};

TYPED_TEST(FusedUpdateTest, TestSubclassesComputeTheirOwnUpdate) {
  Caffe::set_mode(Caffe::CPU);
  ZeroSolver<TypeParam> solver(this->Param("momentum: 0.9"));
  solver.Step(1);
  for (const Blob<TypeParam>* param : solver.net()->learnable_params()) {
    EXPECT_EQ(0, param->asum_data());
  }
}

TYPED_TEST(FusedUpdateTest, TestUnknownRegularizationIsAnError) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(this->Train("weight_decay: 0.1 regularization_type: 'L3'"),
               "Unknown regularization type: L3");
}

#ifdef _OPENMP
TYPED_TEST(FusedUpdateTest, TestThreadsDoNotMatter) {
  typedef TypeParam Dtype;
  const int threads = omp_get_max_threads();
  // Blobs that end and begin within the threads' shares.
  const int counts[] = {3, 40001, 1, 257, 65536};
  vector<Dtype> first;
  for (int n = 1; n <= 3; ++n) {
    Caffe::set_random_seed(5);
    vector<vector<Dtype> > data;
    vector<ParamUpdate<Dtype> > params;
    for (const int count : counts) {
      for (int i = 0; i < 4; ++i) {
        data.push_back(vector<Dtype>(count));
        caffe_rng_uniform<Dtype>(count, 0, 1, data.back().data());
      }
      const int last = data.size();
      params.push_back(ParamUpdate<Dtype>{count, data[last - 4].data(),
          data[last - 3].data(), data[last - 2].data(), data[last - 1].data(),
          Dtype(0.1), Dtype(0.01)});
    }
    const UpdateRule<Dtype> rule = {UpdateRule<Dtype>::ADAM,
        UpdateRule<Dtype>::L2, Dtype(0.5), Dtype(0.25), Dtype(0.9), Dtype(0.99),
        Dtype(1e-8)};
    omp_set_num_threads(n);
    ApplyFusedUpdate(rule, params);
    vector<Dtype> all;
    for (const vector<Dtype>& numbers : data) {
      all.insert(all.end(), numbers.begin(), numbers.end());
    }
    first = n == 1 ? all : first;
    EXPECT_EQ(first, all) << n << " threads";
  }
  omp_set_num_threads(threads);
}
#endif

}  // namespace caffe
