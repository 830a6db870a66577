#include <google/protobuf/text_format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "hdf5.h"
#include "hdf5_hl.h"

#include "caffe/caffe.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/hdf5.hpp"

#include "caffe/test/test_caffe_main.hpp"

namespace caffe {

// What a solver's snapshot holds, and what is left where one cannot be written;
// in both formats.
class SnapshotsTest : public CPUDeviceTest<float> {
 protected:
  SnapshotsTest() { MakeTempDir(&folder_); }

  // Draws from the random generator in each step.
  shared_ptr<Solver<float> > MakeSolver(const string& format) {
    SolverParameter param;
    CHECK(google::protobuf::TextFormat::ParseFromString(
        "type: 'SGD' base_lr: 0.1 lr_policy: 'fixed' momentum: 0.9 display: 0"
        " net_param {"
        "  layer { name: 'x' type: 'DummyData' top: 'x' dummy_data_param {"
        "    shape { dim: 4 dim: 30 } data_filler { type: 'gaussian' } } }"
        "  layer { name: 'd' type: 'Dropout' bottom: 'x' top: 'd' }"
        "  layer { name: 'f' type: 'InnerProduct' bottom: 'd' top: 'f'"
        "    inner_product_param { num_output: 3"
        "      weight_filler { type: 'gaussian' std: 0.1 } } }"
        "  layer { name: 't' type: 'DummyData' top: 't' dummy_data_param {"
        "    shape { dim: 4 dim: 3 } } }"
        "  layer { name: 'l' type: 'EuclideanLoss' bottom: 'f' bottom: 't' } }",
        &param));
    param.set_snapshot_format(format == "HDF5" ?
        SolverParameter_SnapshotFormat_HDF5 :
        SolverParameter_SnapshotFormat_BINARYPROTO);
    param.set_snapshot_prefix(folder_ + "/" + format);
    return shared_ptr<Solver<float> >(
        SolverRegistry<float>::CreateSolver(param));
  }

  string State(const string& format) {
    return folder_ + "/" + format + "_iter_2.solverstate" +
        (format == "HDF5" ? ".h5" : "");
  }

  string Weights(const string& format) {
    return folder_ + "/" + format + "_iter_2.caffemodel" +
        (format == "HDF5" ? ".h5" : "");
  }

  static string Contents(const string& filename) {
    std::ifstream file(filename.c_str(), std::ios::binary);
    return string(std::istreambuf_iterator<char>(file),
                  std::istreambuf_iterator<char>());
  }

  // No file may have more than 300 bytes.
  static void SnapshotOnAFullDisk(Solver<float>* solver) {
    rlimit limit;
    limit.rlim_cur = limit.rlim_max = 300;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    solver->Snapshot();
  }

  static vector<float> WeightsOf(Solver<float>* solver) {
    const Blob<float>& weight = *solver->net()->learnable_params()[0];
    return vector<float>(weight.cpu_data(), weight.cpu_data() + weight.count());
  }

  string folder_;
};

TEST_F(SnapshotsTest, TrainingGoesOnAsIfItHadNotStopped) {
  for (const char* format : {"BINARYPROTO", "HDF5"}) {
    SCOPED_TRACE(format);
    Caffe::set_random_seed(7);
    shared_ptr<Solver<float> > solver = MakeSolver(format);
    solver->Step(2);
    solver->Snapshot();
    solver->Step(3);
    Caffe::set_random_seed(8);
    shared_ptr<Solver<float> > other = MakeSolver(format);
    other->Restore(State(format).c_str());
    other->Step(3);
    EXPECT_TRUE(WeightsOf(solver.get()) == WeightsOf(other.get()));
  }
}

TEST_F(SnapshotsTest, AnUnreadableRandomStateIsAnError) {
  for (const char* format : {"BINARYPROTO", "HDF5"}) {
    SCOPED_TRACE(format);
    shared_ptr<Solver<float> > solver = MakeSolver(format);
    solver->Step(2);
    solver->Snapshot();
    if (string(format) == "HDF5") {
      const hid_t file = H5Fopen(State(format).c_str(), H5F_ACC_RDWR,
                                 H5P_DEFAULT);
      ASSERT_GE(H5Ldelete(file, "random_state", H5P_DEFAULT), 0);
      hdf5_save_string(file, "random_state", "12 13 fourteen");
      H5Fclose(file);
    } else {
      SolverState state;
      ReadProtoFromBinaryFile(State(format), &state);
      state.set_random_state("12 13 fourteen");
      WriteProtoToBinaryFile(state, State(format));
    }
    EXPECT_DEATH(solver->Restore(State(format).c_str()),
                 "random generator cannot be read");
  }
}

TEST_F(SnapshotsTest, AFullDiskLeavesTheOldFiles) {
  for (const char* format : {"BINARYPROTO", "HDF5"}) {
    SCOPED_TRACE(format);
    shared_ptr<Solver<float> > solver = MakeSolver(format);
    solver->Step(2);
    solver->Snapshot();
    const string weights = Contents(Weights(format));
    const string state = Contents(State(format));
    ASSERT_GT(weights.size(), 300);
    ASSERT_GT(state.size(), 300);
    EXPECT_DEATH(SnapshotOnAFullDisk(solver.get()), "");
    EXPECT_TRUE(weights == Contents(Weights(format)));
    EXPECT_TRUE(state == Contents(State(format)));
  }
}

}  // namespace caffe
