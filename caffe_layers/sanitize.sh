#!/usr/bin/env bash
# Runs the tests of our layers, utilities and SyncedMemory with the sanitizers
# of addresses and of undefined behaviour: a build of its own, in
# build/caffe-sanitized-objects, which takes as long as Caffe's.
set -euo pipefail
cd "$(dirname "$0")/.."
objects=$PWD/build/caffe-sanitized-objects
[[ -d build/caffe-source ]] || { echo "sanitize: call build.sh first" >&2; exit 1; }
cmake -S caffe_layers -B "$objects" -G Ninja -Wno-dev -DSANITIZE=ON \
  "-DCAFFE_SRC=$PWD/build/caffe-source" \
  "-DPython3_EXECUTABLE=${PYTHON:-$PWD/.venv/bin/python}" \
  "-DPython3_FIND_VIRTUALENV=ONLY" >"$objects.log" 2>&1 ||
  { cat "$objects.log" >&2; exit 1; }
NINJA_STATUS='sanitize [%f/%t] ' ninja -C "$objects" tests
cd build/caffe-source
# Other libraries leave memory behind at their end. A failed check ends a test
# of it with _exit.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1
export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=1000
"$objects/syncedmem_cuda_tests"
"$objects/caffe_tests" --gtest_filter="${1:-OneDNN*:ChannelFusion*:SyncedMemory*\
:FusedUpdate*:Dropout*:*ReLU*:MultiTLoss*:TransformRow*:Snapshots*:Pooling*-*GPU*}"
