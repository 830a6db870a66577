#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "opencv2/core.hpp"

#include "caffe/blob.hpp"
#include "caffe/data_transformer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/io.hpp"

#include "caffe/test/test_caffe_main.hpp"

namespace caffe {

// Datums of 3 x 5 x 6, as bytes and as floats, and images, against the
// definition.
template <typename Dtype>
class TransformRowTest : public ::testing::Test {
 protected:
  static const int kChannels = 3, kHeight = 5, kWidth = 6;

  static float Value(const int i, const bool bytes) {
    return bytes ? (i * 37 + 11) % 256 : i * 0.37f - 8;
  }

  static float Mean(const int i) { return i % 7 - 2.5f; }

  static Datum MakeDatum(const bool bytes) {
    Datum datum;
    datum.set_channels(kChannels);
    datum.set_height(kHeight);
    datum.set_width(kWidth);
    for (int i = 0; i < kChannels * kHeight * kWidth; ++i) {
      if (bytes) {
        datum.mutable_data()->push_back(
            static_cast<char>(static_cast<int>(Value(i, true))));
      } else {
        datum.add_float_data(Value(i, false));
      }
    }
    return datum;
  }

  static cv::Mat MakeImage() {
    cv::Mat image(kHeight, kWidth, CV_8UC3);
    for (int c = 0; c < kChannels; ++c) {
      for (int h = 0; h < kHeight; ++h) {
        for (int w = 0; w < kWidth; ++w) {
          image.at<cv::Vec3b>(h, w)[c] =
              Value((c * kHeight + h) * kWidth + w, true);
        }
      }
    }
    return image;
  }

  // What mirror chooses at random: how many of 20 times the row was mirrored.
  static int Check(const TransformationParameter& param, const bool bytes,
                   const bool image) {
    const Datum datum = MakeDatum(bytes);
    const cv::Mat pixels = MakeImage();
    DataTransformer<Dtype> transformer(param, TEST);
    Caffe::set_random_seed(3);
    transformer.InitRand();
    const int crop = param.crop_size();
    const int height = crop ? crop : kHeight, width = crop ? crop : kWidth;
    const int top = (kHeight - height) / 2, left = (kWidth - width) / 2;
    Blob<Dtype> blob(1, kChannels, height, width);
    int mirrored = 0;
    for (int times = 0; times < 20; ++times) {
      if (image) {
        transformer.Transform(pixels, &blob);
      } else {
        transformer.Transform(datum, &blob);
      }
      bool same[2] = {true, true};
      for (int c = 0; c < kChannels; ++c) {
        for (int h = 0; h < height; ++h) {
          for (int w = 0; w < width; ++w) {
            const int i = (c * kHeight + top + h) * kWidth + left + w;
            Dtype expected = Value(i, bytes);
            if (param.has_mean_file()) {
              expected -= Mean(i);
            } else if (param.mean_value_size()) {
              expected -= param.mean_value(param.mean_value_size() > 1 ? c : 0);
            }
            expected *= Dtype(param.scale());
            same[0] &= blob.data_at(0, c, h, w) == expected;
            same[1] &= blob.data_at(0, c, h, width - 1 - w) == expected;
          }
        }
      }
      EXPECT_NE(same[0], same[1]);
      mirrored += same[1];
    }
    return mirrored;
  }

  static void CheckAll(const TransformationParameter& param) {
    for (const bool bytes : {false, true}) {
      for (const int crop : {0, 4}) {
        for (const bool mirror : {false, true}) {
          TransformationParameter more(param);
          more.set_crop_size(crop);
          more.set_mirror(mirror);
          for (const bool image : {false, bytes}) {
            const int mirrored = Check(more, bytes, image);
            EXPECT_EQ(mirror, 0 < mirrored && mirrored < 20) << mirrored;
          }
        }
      }
    }
  }
};

TYPED_TEST_CASE(TransformRowTest, TestDtypes);

TYPED_TEST(TransformRowTest, TestScale) {
  TransformationParameter param;
  this->CheckAll(param);
  param.set_scale(0.02f);
  this->CheckAll(param);
}

TYPED_TEST(TransformRowTest, TestMeanValues) {
  TransformationParameter param;
  param.add_mean_value(104);
  this->CheckAll(param);
  param.add_mean_value(117);
  param.add_mean_value(123);
  param.set_scale(0.5f);
  this->CheckAll(param);
}

TYPED_TEST(TransformRowTest, TestMeanFile) {
  BlobProto mean;
  mean.set_num(1);
  mean.set_channels(this->kChannels);
  mean.set_height(this->kHeight);
  mean.set_width(this->kWidth);
  for (int i = 0; i < this->kChannels * this->kHeight * this->kWidth; ++i) {
    mean.add_data(this->Mean(i));
  }
  string file;
  MakeTempFilename(&file);
  WriteProtoToBinaryFile(mean, file);
  TransformationParameter param;
  param.set_mean_file(file);
  param.set_scale(0.25f);
  this->CheckAll(param);
}

TYPED_TEST(TransformRowTest, TestTooFewValuesAreAnError) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  for (const bool bytes : {false, true}) {
    Datum datum = this->MakeDatum(bytes);
    datum.set_width(7);
    Blob<TypeParam> blob(1, 3, 5, 7);
    DataTransformer<TypeParam> transformer(TransformationParameter(), TEST);
    EXPECT_DEATH(transformer.Transform(datum, &blob),
        "A Datum has fewer values than its shape, 3 x 5 x 7, says");
  }
}

}  // namespace caffe
