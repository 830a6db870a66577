#!/usr/bin/env bash
# Runs the C++ tests, Caffe's and ours, that build.sh --tests has built; on a
# machine without a GPU those for the CPU. Arguments go to the test program.
set -euo pipefail
cd "$(dirname "$0")/.."
objects=$PWD/build/caffe${CUDA:+-cuda}-objects
filter=*
[[ -n ${CUDA:-} ]] && nvidia-smi >/dev/null 2>&1 || filter='-*GPU*'
[[ -n ${OMP_WAIT_POLICY:-} ]] ||
  export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=1000
# Caffe's tests find their data from the source tree's root.
cd build/caffe-source
log=$objects-tests.log
"$objects/caffe_tests" --gtest_filter="$filter" "$@" >"$log" 2>&1 || {
  status=$?
  grep -a -E '^\[  FAILED|Failure$|^F[0-9]{4}' "$log" >&2 || tail -n 20 "$log" >&2
  echo "caffe tests: failed, see $log" >&2
  exit $status
}
grep -a -E '^\[==========\].*ran|^\[  PASSED' "$log"

# The same on processors that know fewer instructions.
for isa in SSE41:Nehalem AVX2:Haswell; do
  ONEDNN_MAX_CPU_ISA=${isa%:*} OPENBLAS_CORETYPE=${isa#*:} \
    "$objects/caffe_tests" --gtest_filter='OneDNN*' >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; echo "caffe tests: failed as ${isa%:*}, see $log" >&2
      exit 1; }
  echo "oneDNN's layers as ${isa%:*}: $(grep -a -E '^\[  PASSED' "$log")"
done
