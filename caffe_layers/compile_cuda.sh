#!/usr/bin/env bash
# Compiles this project's CUDA files, without linking: a check that needs an
# nvcc and no GPU. Where there is no nvcc it says so and succeeds. Call it after
# build.sh --tests, which prepares Caffe's source and caffe.pb.h.
#
# CUDACXX, CUDA_HOME  the nvcc, or the toolkit that has it (default: of PATH)
# CUDAHOSTCXX         the C++ compiler that nvcc is to use
# CUDA_ARCH           the GPU architecture (default sm_75, which every toolkit
#                     from 10 to 13 knows)
# DEC_CACHE           where the headers of cuBLAS and cuRAND are kept
set -euo pipefail
cd "$(dirname "$0")/.."
arch=${CUDA_ARCH:-sm_75}
out=$PWD/build/cuda-check
cache="${DEC_CACHE:-$HOME/.cache/dec-caffe}"

nvcc=${CUDACXX:-}
for place in nvcc ${CUDA_HOME:+"$CUDA_HOME/bin/nvcc"} /usr/local/cuda/bin/nvcc; do
  [[ -n $nvcc ]] || nvcc=$(command -v "$place" || true)
done
if [[ -z $nvcc ]]; then
  echo "no nvcc: CUDA compile check skipped"
  exit 0
fi
protobuf=build/caffe-objects/include
if [[ ! -f $protobuf/caffe/proto/caffe.pb.h ]]; then
  echo "compile_cuda: call caffe_layers/build.sh --tests first" >&2
  exit 1
fi
mkdir -p "$out"

# Nothing to do when these files have compiled with this compiler before.
key=$({ find caffe_layers/src caffe_layers/include caffe_layers/patches \
          "$0" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
        echo "$arch ${CUDAHOSTCXX:-}"; "$nvcc" --version; } |
      sha256sum | cut -d' ' -f1)
release=$("$nvcc" --version | sed -nE 's/.*release ([0-9]+\.[0-9]+).*/\1/p')
if [[ $(cat "$out/.compiled" 2>/dev/null) == "$key" ]]; then
  echo "CUDA compile check: up to date (nvcc $release, $arch)"
  exit 0
fi

# An nvcc alone, without the toolkit's libraries, lacks two headers of Caffe's:
# they are in the packages that NVIDIA has on PyPI (of which only they are kept).
headers=$cache/cuda-headers-$release
has_headers() {
  printf '#include <cublas_v2.h>\n#include <curand.h>\n' >"$out/headers.cu"
  "$nvcc" -E "-I$headers" "$out/headers.cu" >/dev/null 2>&1
}
if ! has_headers; then
  echo "CUDA compile check: getting the headers of cuBLAS and cuRAND $release"
  work=$(mktemp -d "$out/pypi.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  .venv/bin/python -m pip install -qq --no-cache-dir --target "$work/site" \
    "cuda-toolkit[cublas,curand]==$release.*"
  mkdir -p "$work/include"
  find "$work/site/nvidia" -type d -name include \
    -exec cp -r {}/. "$work/include" \;
  mkdir -p "$cache"
  rm -rf "$headers" && mv "$work/include" "$headers"
  has_headers || { echo "compile_cuda: no cublas_v2.h in them" >&2; exit 1; }
fi

source=build/caffe-source
options=(-std=c++17 -w -c "-arch=$arch" -Xcompiler -fPIC
  -DBOOST_BIND_GLOBAL_PLACEHOLDERS -DBOOST_ALLOW_DEPRECATED_HEADERS
  -Icaffe_layers/include "-I$source/include" "-I$source/src" "-I$protobuf"
  "-I$headers")
for folder in /usr/include/*/openblas-openmp /usr/include/hdf5/serial; do
  [[ -d $folder ]] && options+=("-I$folder")
done
[[ -z ${CUDAHOSTCXX:-} ]] || options+=(-ccbin "$CUDAHOSTCXX")
names=()
while IFS= read -r -d '' file; do
  "$nvcc" "${options[@]}" -o "$out/$(basename "$file" .cu).o" "$file" ||
    { echo "compile_cuda: $file does not compile" >&2; exit 1; }
  names+=("$(basename "$file")")
done < <(find caffe_layers/src -name '*.cu' -print0)
echo "$key" >"$out/.compiled"
echo "CUDA compile check: passed (nvcc $release, $arch): ${names[*]}"
