#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/filler.hpp"
#include "caffe/layers/multi_t_loss_layer.hpp"
#include "caffe/net.hpp"

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"

namespace caffe {

// The layer's equations term by term, in long double.
struct NaiveMultiT {
  typedef long double Real;

  template <typename Dtype>
  NaiveMultiT(const Blob<Dtype>& z, const Blob<Dtype>* p,
      const Blob<Dtype>& mu, const Blob<Dtype>& s, const Real alpha)
      : n(z.shape(0)), K(z.count(1)), N(mu.count() / K), loss(0), q(n * N),
        ind(n), z_diff(n * K), mu_diff(K * N), s_diff(K * N) {
    Real square = 0;
    for (int i = 0; i < n; ++i) {
      vector<Real> t(N);
      Real sum = 0, p_sum = 0;
      for (int j = 0; j < N; ++j) {
        Real d = 0, c = 1;
        for (int k = 0; k < K; ++k) {
          const Real diff = Real(z.cpu_data()[i * K + k]) -
              mu.cpu_data()[k * N + j];
          d += s.cpu_data()[k * N + j] * diff * diff;
          c *= std::sqrt(Real(s.cpu_data()[k * N + j]));
        }
        t[j] = 1 / (1 + d / alpha);
        q[i * N + j] = c * std::pow(t[j], (alpha + 1) / 2);
        sum += q[i * N + j];
        p_sum += p ? p->cpu_data()[i * N + j] : 0;
      }
      for (int j = 0; j < N; ++j) {
        q[i * N + j] /= sum;
        square += q[i * N + j] * alpha * (1 / t[j] - 1);
        if (q[i * N + j] > q[i * N + ind[i]]) { ind[i] = j; }
      }
      for (int j = 0; p && j < N; ++j) {
        const Real p_ij = p->cpu_data()[i * N + j];
        if (p_ij > 0) { loss += p_ij * std::log(p_ij / q[i * N + j]) / n; }
        const Real rest = p_ij - p_sum * q[i * N + j];
        const Real m = (alpha + 1) / alpha * t[j] * rest;
        for (int k = 0; k < K; ++k) {
          const Real s_kj = s.cpu_data()[k * N + j];
          const Real diff = Real(z.cpu_data()[i * K + k]) -
              mu.cpu_data()[k * N + j];
          z_diff[i * K + k] += m * s_kj * diff / n;
          mu_diff[k * N + j] -= m * s_kj * diff / n;
          s_diff[k * N + j] += (m * diff * diff - rest / s_kj) / (2 * n);
        }
      }
    }
    std_dev = std::sqrt(square / n);
  }

  int n, K, N;
  Real loss, std_dev;
  vector<Real> q;
  vector<int> ind;
  vector<Real> z_diff, mu_diff, s_diff;
};

template <typename TypeParam>
class MultiTLossLayerTest : public MultiDeviceTest<TypeParam> {
  typedef typename TypeParam::Dtype Dtype;

 protected:
  MultiTLossLayerTest()
      : points_(new Blob<Dtype>(7, 3, 1, 1)),
        targets_(new Blob<Dtype>(vector<int>(1, 7))),
        loss_(new Blob<Dtype>()),
        std_(new Blob<Dtype>()),
        ind_(new Blob<Dtype>()),
        proba_(new Blob<Dtype>()) {
    Caffe::set_random_seed(1701);
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    targets_->Reshape(Shape(7, 4));
    FillPoints();
    FillTargets(true);
    bottom_.push_back(points_.get());
    bottom_.push_back(targets_.get());
    top_.push_back(loss_.get());
    top_.push_back(std_.get());
    top_.push_back(ind_.get());
    top_.push_back(proba_.get());
    param_.set_name("dec");
    param_.mutable_multi_t_loss_param()->set_num_center(4);
    FillerParameter* filler =
        param_.mutable_multi_t_loss_param()->mutable_weight_filler();
    filler->set_type("gaussian");
    filler->set_std(1);
  }

  static vector<int> Shape(const int rows, const int columns) {
    vector<int> shape(1, rows);
    shape.push_back(columns);
    return shape;
  }

  static void Uniform(const Dtype low, const Dtype high, Blob<Dtype>* blob) {
    FillerParameter filler_param;
    filler_param.set_min(low);
    filler_param.set_max(high);
    UniformFiller<Dtype>(filler_param).Fill(blob);
  }

  void FillPoints() {
    FillerParameter filler_param;
    GaussianFiller<Dtype>(filler_param).Fill(points_.get());
  }

  void FillTargets(const bool normalize) {
    Uniform(0.05, 1, targets_.get());
    const int width = targets_->count(1);
    Dtype* p = targets_->mutable_cpu_data();
    for (int i = 0; normalize && i < targets_->shape(0); ++i, p += width) {
      Dtype sum = 0;
      for (int j = 0; j < width; ++j) { sum += p[j]; }
      for (int j = 0; j < width; ++j) { p[j] /= sum; }
    }
  }

  // A layer whose inverse variances are not one.
  shared_ptr<MultiTLossLayer<Dtype> > MakeLayer() {
    shared_ptr<MultiTLossLayer<Dtype> > layer(
        new MultiTLossLayer<Dtype>(param_));
    layer->SetUp(bottom_, top_);
    Uniform(0.4, 2, layer->blobs()[1].get());
    return layer;
  }

  NaiveMultiT Naive(MultiTLossLayer<Dtype>* layer) {
    return NaiveMultiT(*points_, bottom_.size() > 1 ? targets_.get() : NULL,
        *layer->blobs()[0], *layer->blobs()[1],
        param_.multi_t_loss_param().alpha());
  }

  // Single precision holds 7 digits; ten sums or so cost one or two.
  static double Tolerance() { return sizeof(Dtype) == 4 ? 2e-5 : 1e-12; }

  static void ExpectNear(const long double expected, const Dtype actual,
      const long double scale, const string& what) {
    EXPECT_TRUE(std::isfinite(actual)) << what;
    EXPECT_LE(std::abs(actual - expected), Tolerance() * scale)
        << what << ": " << actual << " instead of " << expected;
  }

  static void ExpectAllNear(const vector<long double>& expected,
      const Dtype* actual, const string& what) {
    long double scale = 0;
    for (int i = 0; i < expected.size(); ++i) {
      scale = std::max(scale, std::abs(expected[i]));
    }
    for (int i = 0; i < expected.size(); ++i) {
      ExpectNear(expected[i], actual[i], scale, what);
    }
  }

  void CheckForward(MultiTLossLayer<Dtype>* layer) {
    layer->Forward(bottom_, top_);
    const NaiveMultiT naive = Naive(layer);
    if (bottom_.size() > 1) {
      ExpectNear(naive.loss, loss_->cpu_data()[0],
          std::max(naive.loss, 1.L), "loss");
      ExpectNear(naive.std_dev, std_->cpu_data()[0], naive.std_dev, "std");
    }
    for (int i = 0; i < naive.n; ++i) {
      EXPECT_EQ(naive.ind[i], ind_->cpu_data()[i]);
    }
    ExpectAllNear(naive.q, proba_->cpu_data(), "proba");
  }

  // Forward and backward against the naive gradients.
  void CheckBackward(MultiTLossLayer<Dtype>* layer) {
    CheckForward(layer);
    const NaiveMultiT naive = Naive(layer);
    ClearDiffs(layer);
    layer->Backward(top_, PropagateDown(), bottom_);
    ExpectAllNear(naive.z_diff, points_->cpu_diff(), "points");
    ExpectAllNear(naive.mu_diff, layer->blobs()[0]->cpu_diff(), "centers");
    ExpectAllNear(naive.s_diff, layer->blobs()[1]->cpu_diff(), "variances");
  }

  static vector<bool> PropagateDown() {
    vector<bool> propagate_down(2, false);
    propagate_down[0] = true;
    return propagate_down;
  }

  static void ClearDiffs(Layer<Dtype>* layer) {
    for (int b = 0; b < layer->blobs().size(); ++b) {
      Blob<Dtype>* blob = layer->blobs()[b].get();
      caffe_set(blob->count(), Dtype(0), blob->mutable_cpu_diff());
    }
  }

  // Checks points and all three blobs.
  void CheckGradient() {
    top_.resize(1);
    shared_ptr<MultiTLossLayer<Dtype> > layer = MakeLayer();
    GradientChecker<Dtype> checker(1e-2, 1e-2, 1701);
    checker.CheckGradientExhaustive(layer.get(), bottom_, top_, 0);
  }

  void KeepOneBottom() {
    bottom_.resize(1);
    top_.erase(top_.begin(), top_.begin() + 2);
  }

  // The blob of an old model: four axes in the deprecated fields.
  static void LegacyBlob(const int height, const int width,
      const float first, BlobProto* proto) {
    proto->set_num(1);
    proto->set_channels(1);
    proto->set_height(height);
    proto->set_width(width);
    for (int i = 0; i < height * width; ++i) {
      proto->add_data(first + i);
    }
  }

  static void LegacyBlobs(LayerParameter* param) {
    LegacyBlob(3, 4, 1, param->add_blobs());
    LegacyBlob(3, 4, 0.5, param->add_blobs());
    LegacyBlob(1, 4, 0.25, param->add_blobs());
  }

  void SetUpLayer() {
    MultiTLossLayer<Dtype> layer(param_);
    layer.SetUp(bottom_, top_);
  }

  void RunForward() {
    MakeLayer()->Forward(bottom_, top_);
  }

  void RunBackward(const vector<bool>& propagate_down) {
    shared_ptr<MultiTLossLayer<Dtype> > layer = MakeLayer();
    layer->Forward(bottom_, top_);
    layer->Backward(top_, propagate_down, bottom_);
  }

  shared_ptr<Blob<Dtype> > points_, targets_;
  shared_ptr<Blob<Dtype> > loss_, std_, ind_, proba_;
  vector<Blob<Dtype>*> bottom_;
  vector<Blob<Dtype>*> top_;
  LayerParameter param_;
};

TYPED_TEST_CASE(MultiTLossLayerTest, TestDtypesAndDevices);

TYPED_TEST(MultiTLossLayerTest, TestSetUp) {
  typedef typename TypeParam::Dtype Dtype;
  MultiTLossLayer<Dtype> layer(this->param_);
  layer.SetUp(this->bottom_, this->top_);
  EXPECT_EQ(0, this->loss_->num_axes());
  EXPECT_EQ(0, this->std_->num_axes());
  EXPECT_EQ(vector<int>(1, 7), this->ind_->shape());
  EXPECT_EQ(this->Shape(7, 4), this->proba_->shape());
  ASSERT_EQ(3, layer.blobs().size());
  EXPECT_EQ(this->Shape(3, 4), layer.blobs()[0]->shape());
  EXPECT_EQ(this->Shape(3, 4), layer.blobs()[1]->shape());
  EXPECT_EQ(vector<int>(1, 4), layer.blobs()[2]->shape());
  EXPECT_NE(0, layer.blobs()[0]->asum_data());  // the filler's
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(1, layer.blobs()[1]->cpu_data()[i]);
  }
  for (int j = 0; j < 4; ++j) {
    EXPECT_EQ(0.25, layer.blobs()[2]->cpu_data()[j]);
  }
}

TYPED_TEST(MultiTLossLayerTest, TestNoFiller) {
  typedef typename TypeParam::Dtype Dtype;
  this->param_.mutable_multi_t_loss_param()->clear_weight_filler();
  MultiTLossLayer<Dtype> layer(this->param_);
  layer.SetUp(this->bottom_, this->top_);
  EXPECT_EQ(0, layer.blobs()[0]->asum_data());
  layer.Forward(this->bottom_, this->top_);
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(0, this->ind_->cpu_data()[i]);  // the first of equals
  }
}

TYPED_TEST(MultiTLossLayerTest, TestDefaultLossWeights) {
  typedef typename TypeParam::Dtype Dtype;
  MultiTLossLayer<Dtype> layer(this->param_);
  layer.SetUp(this->bottom_, this->top_);
  EXPECT_EQ(1, layer.loss(0));
  EXPECT_EQ(0, layer.loss(1));
  EXPECT_EQ(0, layer.loss(2));
  EXPECT_EQ(0, layer.loss(3));
  const Dtype loss = layer.Forward(this->bottom_, this->top_);
  EXPECT_EQ(this->loss_->cpu_data()[0], loss);
}

TYPED_TEST(MultiTLossLayerTest, TestForward) {
  this->CheckForward(this->MakeLayer().get());
}

TYPED_TEST(MultiTLossLayerTest, TestForwardAlpha) {
  this->param_.mutable_multi_t_loss_param()->set_alpha(2.5);
  this->CheckForward(this->MakeLayer().get());
}

TYPED_TEST(MultiTLossLayerTest, TestForwardUnnormalizedTargets) {
  this->FillTargets(false);
  this->CheckForward(this->MakeLayer().get());
}

TYPED_TEST(MultiTLossLayerTest, TestForwardLossOnly) {
  typedef typename TypeParam::Dtype Dtype;
  this->top_.resize(1);
  shared_ptr<MultiTLossLayer<Dtype> > layer = this->MakeLayer();
  layer->Forward(this->bottom_, this->top_);
  this->ExpectNear(this->Naive(layer.get()).loss, this->loss_->cpu_data()[0], 1,
      "loss");
}

TYPED_TEST(MultiTLossLayerTest, TestZeroTargets) {
  typedef typename TypeParam::Dtype Dtype;
  Dtype* p = this->targets_->mutable_cpu_data();
  for (int i = 0; i < 7; ++i) {
    for (int j = 0; j < 4; ++j) {
      p[i * 4 + j] = (i > 0 && i % 4 == j);  // one-hot; the first row zero
    }
  }
  this->CheckBackward(this->MakeLayer().get());
}

TYPED_TEST(MultiTLossLayerTest, TestManyPoints) {
  // More points than a GPU block has threads.
  this->points_->Reshape(1500, 3, 1, 1);
  this->targets_->Reshape(this->Shape(1500, 4));
  this->FillPoints();
  this->FillTargets(true);
  this->CheckBackward(this->MakeLayer().get());
}

TYPED_TEST(MultiTLossLayerTest, TestOnePointOneCenter) {
  this->param_.mutable_multi_t_loss_param()->set_num_center(1);
  this->points_->Reshape(1, 3, 1, 1);
  this->targets_->Reshape(this->Shape(1, 1));
  this->FillTargets(false);
  this->CheckBackward(this->MakeLayer().get());
}

TYPED_TEST(MultiTLossLayerTest, TestDistantPoints) {
  this->points_->scale_data(1e4);
  this->CheckBackward(this->MakeLayer().get());
}

TYPED_TEST(MultiTLossLayerTest, TestHugeDistances) {
  typedef typename TypeParam::Dtype Dtype;
  // Of these the squares only just fit.
  const Dtype huge = std::sqrt(std::numeric_limits<Dtype>::max()) / 16;
  const float alphas[] = {1, 2.5};
  for (int a = 0; a < 2; ++a) {
    this->param_.mutable_multi_t_loss_param()->set_alpha(alphas[a]);
    shared_ptr<MultiTLossLayer<Dtype> > layer = this->MakeLayer();
    this->Uniform(-1, 1, this->points_.get());
    this->points_->scale_data(huge);
    this->CheckForward(layer.get());
    layer->Backward(this->top_, this->PropagateDown(), this->bottom_);
    EXPECT_TRUE(std::isfinite(this->points_->asum_diff()));
    for (int b = 0; b < 3; ++b) {
      EXPECT_TRUE(std::isfinite(layer->blobs()[b]->asum_diff()));
    }
  }
}

TYPED_TEST(MultiTLossLayerTest, TestSharedOffset) {
  typedef typename TypeParam::Dtype Dtype;
  shared_ptr<MultiTLossLayer<Dtype> > layer = this->MakeLayer();
  caffe_add_scalar(this->points_->count(), Dtype(1e3),
      this->points_->mutable_cpu_data());
  caffe_add_scalar(layer->blobs()[0]->count(), Dtype(1e3),
      layer->blobs()[0]->mutable_cpu_data());
  this->CheckBackward(layer.get());
}

TYPED_TEST(MultiTLossLayerTest, TestSeparatedClusters) {
  typedef typename TypeParam::Dtype Dtype;
  // Points close to their centers, and these 1e4 apart.
  shared_ptr<MultiTLossLayer<Dtype> > layer = this->MakeLayer();
  for (int i = 0; i < 7; ++i) {
    for (int k = 0; k < 3; ++k) {
      this->points_->mutable_cpu_data()[i * 3 + k] += 1e4 * (i % 4);
    }
  }
  for (int kj = 0; kj < 12; ++kj) {
    layer->blobs()[0]->mutable_cpu_data()[kj] += 1e4 * (kj % 4);
  }
  this->CheckForward(layer.get());
}

TYPED_TEST(MultiTLossLayerTest, TestOneBottom) {
  typedef typename TypeParam::Dtype Dtype;
  this->KeepOneBottom();
  shared_ptr<MultiTLossLayer<Dtype> > layer = this->MakeLayer();
  EXPECT_EQ(vector<int>(1, 7), this->ind_->shape());
  EXPECT_EQ(this->Shape(7, 4), this->proba_->shape());
  EXPECT_EQ(0, layer->loss(0));
  EXPECT_EQ(0, layer->loss(1));
  this->CheckForward(layer.get());
  this->ClearDiffs(layer.get());
  layer->Backward(this->top_, vector<bool>(1, false), this->bottom_);
  EXPECT_EQ(0, layer->blobs()[0]->asum_diff());
}

TYPED_TEST(MultiTLossLayerTest, TestTargetsOfDataLayer) {
  this->targets_->Reshape(7, 4, 1, 1);
  this->CheckBackward(this->MakeLayer().get());
}

TYPED_TEST(MultiTLossLayerTest, TestWidePoints) {
  this->points_->Reshape(7, 3, 2, 2);
  this->FillPoints();
  this->CheckBackward(this->MakeLayer().get());
}

TYPED_TEST(MultiTLossLayerTest, TestBatchSizeChange) {
  typedef typename TypeParam::Dtype Dtype;
  shared_ptr<MultiTLossLayer<Dtype> > layer = this->MakeLayer();
  const int sizes[] = {7, 2, 30};
  for (int i = 0; i < 3; ++i) {
    this->points_->Reshape(sizes[i], 3, 1, 1);
    this->targets_->Reshape(this->Shape(sizes[i], 4));
    this->FillPoints();
    this->FillTargets(true);
    this->CheckBackward(layer.get());
    EXPECT_EQ(vector<int>(1, sizes[i]), this->ind_->shape());
    EXPECT_EQ(this->Shape(sizes[i], 4), this->proba_->shape());
  }
}

TYPED_TEST(MultiTLossLayerTest, TestLegacyBlobs) {
  typedef typename TypeParam::Dtype Dtype;
  this->LegacyBlobs(&this->param_);
  MultiTLossLayer<Dtype> layer(this->param_);
  layer.SetUp(this->bottom_, this->top_);
  EXPECT_EQ(12, layer.blobs()[0]->cpu_data()[11]);
  this->CheckBackward(&layer);
}

TYPED_TEST(MultiTLossLayerTest, TestLegacyModel) {
  typedef typename TypeParam::Dtype Dtype;
  NetParameter net_param, model;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "layer { name: 'data' type: 'Input' top: 'data' "
      "  input_param { shape { dim: 7 dim: 3 } } } "
      "layer { name: 'loss' type: 'MultiTLoss' bottom: 'data' "
      "  top: 'ind' top: 'proba' multi_t_loss_param { num_center: 4 } }",
      &net_param));
  Net<Dtype> net(net_param);
  model.add_layer()->set_name("loss");
  this->LegacyBlobs(model.mutable_layer(0));
  net.CopyTrainedLayersFrom(model);
  net.blob_by_name("data")->CopyFrom(*this->points_, false, true);
  net.Forward();
  const NaiveMultiT naive(*net.blob_by_name("data"),
      static_cast<const Blob<Dtype>*>(NULL), *net.params()[0],
      *net.params()[1], 1);
  EXPECT_EQ(12, net.params()[0]->cpu_data()[11]);
  this->ExpectAllNear(naive.q, net.blob_by_name("proba")->cpu_data(), "proba");
}

TYPED_TEST(MultiTLossLayerTest, TestGradient) {
  this->CheckGradient();
}

TYPED_TEST(MultiTLossLayerTest, TestGradientAlpha) {
  this->param_.mutable_multi_t_loss_param()->set_alpha(2.5);
  this->CheckGradient();
}

TYPED_TEST(MultiTLossLayerTest, TestGradientUnnormalizedTargets) {
  this->FillTargets(false);
  this->CheckGradient();
}

TYPED_TEST(MultiTLossLayerTest, TestBackward) {
  this->FillTargets(false);
  this->param_.mutable_multi_t_loss_param()->set_alpha(2.5);
  this->CheckBackward(this->MakeLayer().get());
}

TYPED_TEST(MultiTLossLayerTest, TestBackwardAccumulates) {
  typedef typename TypeParam::Dtype Dtype;
  shared_ptr<MultiTLossLayer<Dtype> > layer = this->MakeLayer();
  this->CheckBackward(layer.get());
  Blob<Dtype> once[3];
  for (int b = 0; b < 3; ++b) {
    once[b].CopyFrom(*layer->blobs()[b], true, true);
  }
  Blob<Dtype> points_once;
  points_once.CopyFrom(*this->points_, true, true);
  layer->Forward(this->bottom_, this->top_);
  layer->Backward(this->top_, this->PropagateDown(), this->bottom_);
  for (int b = 0; b < 3; ++b) {
    for (int i = 0; i < once[b].count(); ++i) {
      this->ExpectNear(2 * once[b].cpu_diff()[i],
          layer->blobs()[b]->cpu_diff()[i], 1, "blob");
    }
  }
  for (int i = 0; i < points_once.count(); ++i) {
    this->ExpectNear(points_once.cpu_diff()[i], this->points_->cpu_diff()[i],
        1, "points");
  }
}

TYPED_TEST(MultiTLossLayerTest, TestFrozenBlobs) {
  typedef typename TypeParam::Dtype Dtype;
  for (int trained = 0; trained < 3; ++trained) {
    shared_ptr<MultiTLossLayer<Dtype> > layer = this->MakeLayer();
    for (int b = 0; b < 3; ++b) {
      layer->set_param_propagate_down(b, b == trained);
    }
    this->ClearDiffs(layer.get());
    layer->Forward(this->bottom_, this->top_);
    layer->Backward(this->top_, vector<bool>(2, false), this->bottom_);
    for (int b = 0; b < 3; ++b) {
      const bool expect_diff = (b == trained && b < 2);
      EXPECT_EQ(expect_diff, layer->blobs()[b]->asum_diff() > 0);
    }
  }
}

TYPED_TEST(MultiTLossLayerTest, TestLossWeight) {
  typedef typename TypeParam::Dtype Dtype;
  shared_ptr<MultiTLossLayer<Dtype> > layer = this->MakeLayer();
  this->CheckBackward(layer.get());
  this->param_.add_loss_weight(0.5);  // stands for 0.5, 0, 0, 0
  MultiTLossLayer<Dtype> half(this->param_);
  half.SetUp(this->bottom_, this->top_);
  vector<Dtype> points_diff(this->points_->cpu_diff(),
      this->points_->cpu_diff() + this->points_->count());
  for (int b = 0; b < 3; ++b) {
    half.blobs()[b]->CopyFrom(*layer->blobs()[b]);
  }
  this->ClearDiffs(&half);
  const Dtype loss = half.Forward(this->bottom_, this->top_);
  half.Backward(this->top_, this->PropagateDown(), this->bottom_);
  EXPECT_NEAR(0.5 * this->loss_->cpu_data()[0], loss, 1e-6);
  for (int i = 0; i < points_diff.size(); ++i) {
    EXPECT_NEAR(0.5 * points_diff[i], this->points_->cpu_diff()[i], 1e-6);
  }
  for (int b = 0; b < 2; ++b) {
    for (int i = 0; i < 12; ++i) {
      EXPECT_NEAR(0.5 * layer->blobs()[b]->cpu_diff()[i],
          half.blobs()[b]->cpu_diff()[i], 1e-6);
    }
  }
}

// On the GPU bad values are caught by the loss alone.
template <typename TypeParam>
class MultiTLossLayerDeathTest : public MultiTLossLayerTest<TypeParam> {};

TYPED_TEST_CASE(MultiTLossLayerDeathTest, TestDtypesAndDevices);

TYPED_TEST(MultiTLossLayerDeathTest, TestNumCenter) {
  this->param_.mutable_multi_t_loss_param()->clear_num_center();
  EXPECT_DEATH(this->SetUpLayer(), "'dec': .*num_center is missing or zero");
  this->param_.mutable_multi_t_loss_param()->set_num_center(0);
  EXPECT_DEATH(this->SetUpLayer(), "'dec': .*num_center is missing or zero");
}

TYPED_TEST(MultiTLossLayerDeathTest, TestAlpha) {
  MultiTLossParameter* param = this->param_.mutable_multi_t_loss_param();
  param->set_alpha(0);
  EXPECT_DEATH(this->SetUpLayer(), "'dec': .*alpha is 0: set it");
  param->set_alpha(-1);
  EXPECT_DEATH(this->SetUpLayer(), "alpha is -1: set it");
  param->set_alpha(std::numeric_limits<float>::infinity());
  EXPECT_DEATH(this->SetUpLayer(), "alpha is inf: set it");
  param->set_alpha(std::numeric_limits<float>::quiet_NaN());
  EXPECT_DEATH(this->SetUpLayer(), "alpha is -?nan: set it");
}

TYPED_TEST(MultiTLossLayerDeathTest, TestTargetShape) {
  this->targets_->Reshape(this->Shape(7, 5));
  EXPECT_DEATH(this->SetUpLayer(), "is 5 wide, but .*num_center is 4");
  this->targets_->Reshape(this->Shape(6, 4));
  EXPECT_DEATH(this->SetUpLayer(), "differ in rows");
}

TYPED_TEST(MultiTLossLayerDeathTest, TestPointsWidth) {
  this->LegacyBlobs(&this->param_);
  this->points_->Reshape(7, 2, 1, 1);
  EXPECT_DEATH(this->SetUpLayer(), "blob 0 has shape .*should be 2 x 4");
}

TYPED_TEST(MultiTLossLayerDeathTest, TestNegativeTarget) {
  this->targets_->mutable_cpu_data()[5] = -0.5;
  EXPECT_DEATH(this->RunForward(),
      "targets. must be finite and not negative, but value 5 .* is -0.5|"
      "the loss is .*not finite");
}

TYPED_TEST(MultiTLossLayerDeathTest, TestNaN) {
  typedef typename TypeParam::Dtype Dtype;
  const Dtype nan = std::numeric_limits<Dtype>::quiet_NaN();
  this->points_->mutable_cpu_data()[4] = nan;
  EXPECT_DEATH(this->RunForward(),
      "points. must be finite, but value 4 .* is nan|"
      "the loss is .*not finite");
  this->FillPoints();
  this->targets_->mutable_cpu_data()[3] = nan;
  EXPECT_DEATH(this->RunForward(),
      "targets. must be finite .* is nan|the loss is .*not finite");
}

TYPED_TEST(MultiTLossLayerDeathTest, TestBadBlobs) {
  typedef typename TypeParam::Dtype Dtype;
  shared_ptr<MultiTLossLayer<Dtype> > layer = this->MakeLayer();
  layer->blobs()[1]->mutable_cpu_data()[2] = -1;
  EXPECT_DEATH(layer->Forward(this->bottom_, this->top_),
      "inverse variances. must be positive .* is -1|the loss is .*not finite");
  layer->blobs()[1]->mutable_cpu_data()[2] = 1;
  layer->blobs()[0]->mutable_cpu_data()[2] =
      std::numeric_limits<Dtype>::infinity();
  EXPECT_DEATH(layer->Forward(this->bottom_, this->top_),
      "centers. must be finite, .* is inf|the loss is .*not finite");
}

TYPED_TEST(MultiTLossLayerDeathTest, TestOverflow) {
  typedef typename TypeParam::Dtype Dtype;
  caffe_set(3, std::numeric_limits<Dtype>::max() / 4,
      this->points_->mutable_cpu_data());
  EXPECT_DEATH(this->RunForward(),
      "distance of point 0 to center 0 overflows|the loss is .*not finite");
}

TYPED_TEST(MultiTLossLayerDeathTest, TestLossWeight) {
  for (int i = 0; i < 4; ++i) {
    this->param_.add_loss_weight(i == 0 || i == 3);
  }
  EXPECT_DEATH(this->SetUpLayer(), "loss_weight of top 3 must be zero");
  this->KeepOneBottom();
  this->param_.clear_loss_weight();
  this->param_.add_loss_weight(1);
  EXPECT_DEATH(this->SetUpLayer(), "loss_weight of top 0 must be zero");
}

TYPED_TEST(MultiTLossLayerDeathTest, TestPropagateDown) {
  EXPECT_DEATH(this->RunBackward(vector<bool>(2, true)),
      "cannot backpropagate to the targets");
  this->KeepOneBottom();
  EXPECT_DEATH(this->RunBackward(vector<bool>(1, true)),
      "cannot backpropagate without targets");
}

TYPED_TEST(MultiTLossLayerDeathTest, TestBlobCounts) {
  this->bottom_.resize(1);
  EXPECT_DEATH(this->SetUpLayer(), "one bottom .* takes two tops: ind, proba");
  this->bottom_.clear();
  EXPECT_DEATH(this->SetUpLayer(), "at least 1 bottom");
}

}  // namespace caffe
