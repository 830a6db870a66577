#!/usr/bin/env bash
# Runs the C++ tests, Caffe's and ours, that build.sh --tests has built; on a
# machine without a GPU those for the CPU. Arguments go to the test program.
set -euo pipefail
cd "$(dirname "$0")/.."
[[ ${CUDA:-0} != 0 ]] || unset CUDA
objects=$PWD/build/caffe${CUDA:+-cuda}-objects
filter=*
[[ -n ${CUDA:-} ]] && nvidia-smi >/dev/null 2>&1 || filter='-*GPU*'
[[ -n ${OMP_WAIT_POLICY:-} ]] ||
  export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=1000
# Caffe's tests find their data from the source tree's root.
cd build/caffe-source
log=$objects-tests.log
run() {  # run PROGRAM ARGUMENTS: shows what failed, and stops
  "$@" >"$log" 2>&1 || {
    local status=$?
    grep -a -E '^\[  FAILED|Failure$|^F[0-9]{4}' "$log" >&2 ||
      tail -n 20 "$log" >&2
    echo "caffe tests: failed, see $log" >&2
    exit $status
  }
}
run "$objects/caffe_tests" --gtest_filter="$filter" "$@"
grep -a -E '^\[==========\].*ran|^\[  PASSED' "$log"

run "$objects/syncedmem_cuda_tests"
echo "SyncedMemory over a device of ordinary memory:" \
  "$(grep -a -E '^\[  PASSED' "$log")"

# The same on processors that know fewer instructions: those of oneDNN, of
# OpenBLAS, and of the vector code of ours, which is loaded instead of libcaffe's.
ours='OneDNN*:ChannelFusion*:SimdClones*:FusedUpdate*:Dropout*:*ReLU*'
for isa in SSE41:Nehalem:x86-64 AVX2:Haswell:x86-64-v3; do
  IFS=: read -r onednn openblas level <<<"$isa"
  [[ $(uname -m) == x86_64 ]] || continue
  if [[ $level == x86-64-v3 ]] && ! grep -qw avx2 /proc/cpuinfo; then
    echo "our layers as $onednn: skipped, this processor has no AVX2"
    continue
  fi
  run env ONEDNN_MAX_CPU_ISA="$onednn" OPENBLAS_CORETYPE="$openblas" \
    CAFFE_TEST_SIMD_LEVEL="$level" LD_PRELOAD="$objects/libvectors-$level.so" \
    "$objects/caffe_tests" --gtest_filter="$ours-*GPU*"
  echo "our layers as $onednn: $(grep -a -E '^\[  PASSED' "$log")"
done
