#include <string>

#include "boost/scoped_ptr.hpp"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

#include "caffe/proto/caffe.pb.h"
#include "caffe/sgd_solvers.hpp"
#include "caffe/solver_factory.hpp"

#include "caffe/test/test_caffe_main.hpp"

namespace caffe {

using boost::scoped_ptr;

// One weight w, whose loss is w: its gradient is 1 at every iteration.
class MomentumBurninTest : public ::testing::Test {
 protected:
  // spec: of the weight.
  static SolverParameter Param(const string& more, const string& spec) {
    const string text =
        "net_param { layer { name: 'one' type: 'DummyData' top: 'one' "
        "  dummy_data_param { shape { dim: 1 dim: 1 } "
        "    data_filler { type: 'constant' value: 1 } } } "
        "layer { name: 'ip' type: 'InnerProduct' bottom: 'one' top: 'ip' "
        "  loss_weight: 1 param { " + spec + " } "
        "  inner_product_param { num_output: 1 bias_term: false } } } "
        "base_lr: 0.1 lr_policy: 'fixed' momentum: 0.8 "
        "solver_mode: CPU snapshot_after_train: false " + more;
    SolverParameter param;
    CHECK(google::protobuf::TextFormat::ParseFromString(text, &param));
    return param;
  }

  // The weight after some iterations.
  static float Train(const string& more, const int iterations,
                     const string& spec = "") {
    Caffe::set_mode(Caffe::CPU);
    scoped_ptr<Solver<float> > solver(
        SolverRegistry<float>::CreateSolver(Param(more, spec)));
    solver->Step(iterations);
    return solver->net()->params()[0]->cpu_data()[0];
  }
};

TEST_F(MomentumBurninTest, TestGrowsLinearly) {
  float weight = 0, history = 0;
  for (int i = 0; i < 9; ++i) {
    const float momentum = i < 4 ? 0.8f * i / 4 : 0.8f;
    history = momentum * history + 0.1f;
    weight -= history;
    EXPECT_NEAR(weight, Train("momentum_burnin: 4", i + 1), 1e-5);
  }
}

TEST_F(MomentumBurninTest, TestNesterovGrowsLinearly) {
  float weight = 0, history = 0;
  for (int i = 0; i < 9; ++i) {
    const float momentum = i < 4 ? 0.8f * i / 4 : 0.8f;
    const float before = history;
    history = momentum * history + 0.1f;
    weight -= (1 + momentum) * history - momentum * before;
    EXPECT_NEAR(weight, Train("type: 'Nesterov' momentum_burnin: 4", i + 1),
                1e-5);
  }
}

TEST_F(MomentumBurninTest, TestWithoutItNothingChanges) {
  EXPECT_EQ(Train("", 5), Train("momentum_burnin: 0 sample_print: true", 5));
  EXPECT_NE(Train("", 5), Train("momentum_burnin: 4", 5));
}

TEST_F(MomentumBurninTest, TestOtherSolversRefuseIt) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(Train("type: 'Adam' momentum_burnin: 4", 1),
               "momentum_burnin is for the SGD and Nesterov solvers");
}

// momentum_mult: momentum of one parameter.

TEST_F(MomentumBurninTest, TestMultMultipliesMomentum) {
  const float momentum = 0.5f * 0.8f;
  float weight = 0, history = 0;
  for (int i = 0; i < 5; ++i) {
    history = momentum * history + 0.1f;
    weight -= history;
    EXPECT_NEAR(weight, Train("", i + 1, "momentum_mult: 0.5"), 1e-5);
  }
}

TEST_F(MomentumBurninTest, TestMultMultipliesNesterovsMomentum) {
  const float momentum = 0.5f * 0.8f;
  float weight = 0, history = 0;
  for (int i = 0; i < 5; ++i) {
    const float before = history;
    history = momentum * history + 0.1f;
    weight -= (1 + momentum) * history - momentum * before;
    EXPECT_NEAR(weight, Train("type: 'Nesterov'", i + 1, "momentum_mult: 0.5"),
                1e-5);
  }
}

TEST_F(MomentumBurninTest, TestMultOfZeroIsNoMomentum) {
  EXPECT_NEAR(-0.5, Train("", 5, "momentum_mult: 0"), 1e-6);
  EXPECT_EQ(Train("", 5), Train("", 5, "momentum_mult: 1"));
}

TEST_F(MomentumBurninTest, TestOtherSolversRefuseMult) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(Train("type: 'Adam'", 1, "momentum_mult: 0"),
               "momentum_mult is for the SGD and Nesterov solvers");
}

}  // namespace caffe
