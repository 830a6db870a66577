#include <string>
#include <vector>

#include "boost/scoped_ptr.hpp"
#include "gtest/gtest.h"

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/layers/data_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/db.hpp"
#include "caffe/util/format.hpp"
#include "caffe/util/io.hpp"

#include "caffe/test/test_caffe_main.hpp"

namespace caffe {

using boost::scoped_ptr;

// data_param.seek, and LevelDBs that several layers of one process read.
class DataSeekTest : public ::testing::TestWithParam<int> {
 protected:
  DataSeekTest() : backend_(static_cast<DataParameter_DB>(GetParam())) {}

  virtual void SetUp() {
    MakeTempDir(&source_);
    source_ += "/db";
    scoped_ptr<db::DB> db(db::GetDB(backend_));
    db->Open(source_, db::NEW);
    scoped_ptr<db::Transaction> txn(db->NewTransaction());
    for (int i = 0; i < rows_; ++i) {
      Datum datum;
      datum.set_channels(1);
      datum.set_height(1);
      datum.set_width(1);
      datum.add_float_data(i);
      string value;
      CHECK(datum.SerializeToString(&value));
      txn->Put(format_int(i, 8), value);
    }
    txn->Commit();
  }

  LayerParameter Param(const string& seek) const {
    LayerParameter param;
    param.set_phase(TRAIN);
    param.mutable_data_param()->set_source(source_);
    param.mutable_data_param()->set_backend(backend_);
    param.mutable_data_param()->set_batch_size(3);
    if (!seek.empty()) { param.mutable_data_param()->set_seek(seek); }
    return param;
  }

  // Checks that a layer gives the rows from this one on, over and over.
  void ExpectRows(const LayerParameter& param, int row) const {
    Blob<float> data;
    vector<Blob<float>*> bottom, top(1, &data);
    DataLayer<float> layer(param);
    layer.SetUp(bottom, top);
    for (int i = 0; i < 10; ++i) {
      layer.Forward(bottom, top);
      for (int j = 0; j < 3; ++j, row = (row + 1) % rows_) {
        EXPECT_EQ(row, data.cpu_data()[j]);
      }
    }
  }

  static const int rows_ = 7;
  const DataParameter_DB backend_;
  string source_;
};

TEST_P(DataSeekTest, TestSeek) {
  ExpectRows(Param(""), 0);
  ExpectRows(Param("00000000"), 0);
  ExpectRows(Param("00000005"), 5);
}

TEST_P(DataSeekTest, TestSeekBetweenKeys) {
  ExpectRows(Param("000000035"), 4);
}

TEST_P(DataSeekTest, TestTwoLayersReadOneDatabase) {
  Blob<float> data;
  vector<Blob<float>*> bottom, top(1, &data);
  DataLayer<float> layer(Param("00000002"));
  layer.SetUp(bottom, top);
  ExpectRows(Param("00000006"), 6);
  layer.Forward(bottom, top);
  EXPECT_EQ(2, data.cpu_data()[0]);
}

TEST_P(DataSeekTest, TestSeekBehindTheEnd) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(ExpectRows(Param("00000007"), 0),
               "no row at or after key '00000007'");
}

TEST_P(DataSeekTest, TestEmptyDatabase) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  source_ += "-empty";
  scoped_ptr<db::DB> db(db::GetDB(backend_));
  db->Open(source_, db::NEW);
  scoped_ptr<db::Transaction> txn(db->NewTransaction());
  txn->Commit();
  txn.reset();
  db.reset();
  EXPECT_DEATH(ExpectRows(Param(""), 0), "database has no rows");
}

INSTANTIATE_TEST_CASE_P(Backends, DataSeekTest,
    ::testing::Values<int>(DataParameter_DB_LEVELDB, DataParameter_DB_LMDB));

}  // namespace caffe
