// SyncedMemory as it is compiled for GPUs, over a device of ordinary memory:
// what is copied when, which no machine without a GPU can see otherwise.

#include <vector>

#include "gtest/gtest.h"

#include "caffe/syncedmem.hpp"

namespace caffe {

// All of Caffe that it needs; the rest of common.cpp wants a real device.
class Caffe::RNG::Generator {};
Caffe::Caffe() : mode_(GPU) {}
Caffe::~Caffe() {}
Caffe& Caffe::Get() {
  static Caffe caffe;
  return caffe;
}

static float* Written(SyncedMemory* memory) {
  return static_cast<float*>(memory->mutable_cpu_data());
}

static float OnDevice(SyncedMemory* memory) {
  return static_cast<const float*>(memory->gpu_data())[0];
}

static float OnHost(SyncedMemory* memory) {
  return static_cast<const float*>(memory->cpu_data())[0];
}

TEST(SyncedMemoryCUDATest, ValuesGoToWhereTheyAreAskedFor) {
  SyncedMemory memory(sizeof(float));
  EXPECT_EQ(0, OnDevice(&memory));
  EXPECT_EQ(SyncedMemory::HEAD_AT_GPU, memory.head());
  *Written(&memory) = 1;
  EXPECT_EQ(1, OnDevice(&memory));
  EXPECT_EQ(SyncedMemory::SYNCED, memory.head());
  *static_cast<float*>(memory.mutable_gpu_data()) = 2;
  EXPECT_EQ(2, OnHost(&memory));
  EXPECT_EQ(SyncedMemory::SYNCED, memory.head());
}

// As somebody does who keeps an array of pycaffe's and writes into it in each
// step.
TEST(SyncedMemoryCUDATest, WhatIsWrittenThroughAKeptPointerReachesTheDevice) {
  SyncedMemory memory(sizeof(float));
  memory.set_exposed();
  float* const kept = Written(&memory);
  for (int step = 1; step <= 3; ++step) {
    *kept = step;
    EXPECT_EQ(step, OnDevice(&memory));
  }
}

TEST(SyncedMemoryCUDATest, SoDoesWhatTheCallerWritesIntoMemoryOfHisOwn) {
  float own = 0;
  SyncedMemory memory(sizeof(float));
  memory.set_cpu_data(&own);
  for (int step = 1; step <= 3; ++step) {
    own = step;
    EXPECT_EQ(step, OnDevice(&memory));
  }
}

// The device's own results are not written over by an array that is older.
TEST(SyncedMemoryCUDATest, NewerValuesOfTheDeviceStay) {
  SyncedMemory memory(sizeof(float));
  memory.set_exposed();
  *Written(&memory) = 1;
  *static_cast<float*>(memory.mutable_gpu_data()) = 2;
  EXPECT_EQ(2, OnDevice(&memory));
  EXPECT_EQ(2, OnHost(&memory));
}

// Nothing is copied twice for nothing.
TEST(SyncedMemoryCUDATest, OthersAreCopiedOnce) {
  SyncedMemory memory(sizeof(float));
  float* const kept = Written(&memory);
  *kept = 1;
  EXPECT_EQ(1, OnDevice(&memory));
  *kept = 2;
  EXPECT_EQ(1, OnDevice(&memory));
}

struct Ones : public PrivateData {
  virtual void CopyTo(void* plain) { static_cast<float*>(plain)[0] = 1; }
};

TEST(SyncedMemoryCUDATest, WhatWasPutOffIsDoneForTheDeviceToo) {
  SyncedMemory memory(sizeof(float));
  memory.set_private_data(shared_ptr<PrivateData>(new Ones()));
  EXPECT_EQ(1, OnDevice(&memory));
  memory.set_zero();
  EXPECT_EQ(0, OnDevice(&memory));
}

TEST(SyncedMemoryCUDATest, PushesAlongAStream) {
  SyncedMemory memory(sizeof(float));
  *Written(&memory) = 3;
  memory.async_gpu_push(cudaStream_t());
  EXPECT_EQ(SyncedMemory::SYNCED, memory.head());
  EXPECT_EQ(3, OnDevice(&memory));
}

}  // namespace caffe

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
