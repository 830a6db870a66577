#!/usr/bin/env bash
# Builds and installs Caffe with this project's layers, if anything that goes
# into it has changed since the last time.
#
#   caffe_layers/build.sh            install into build/caffe
#   caffe_layers/build.sh --tests    build the C++ tests too
#   CUDA=1 caffe_layers/build.sh     for GPUs as well, into build/caffe-cuda
#
# CAFFE_SOURCE  a folder or tarball with Caffe's commit 99bd997
# CUDA_ARCHS    GPU architectures, as CMake's CMAKE_CUDA_ARCHITECTURES
# DEC_CACHE     where sources and finished builds are kept for other clones
#               (default ~/.cache/dec-caffe)
# PYTHON        the Python to build for (default .venv/bin/python)
set -euo pipefail
cd "$(dirname "$0")/.."

[[ ${CUDA:-0} != 0 ]] || unset CUDA
kind=caffe${CUDA:+-cuda}
prefix=$PWD/build/$kind
objects=$PWD/build/$kind-objects
source=$PWD/build/caffe-source
cache="${DEC_CACHE:-$HOME/.cache/dec-caffe}"
python="${PYTHON:-$PWD/.venv/bin/python}"
mkdir -p build
# Two builds at once would write the same files.
exec 9>"build/.$kind.lock"
flock 9

digest() { sha256sum | cut -d' ' -f1; }
files_digest() { find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | digest; }

# What the result depends on: our files, the compiler, the libraries, Python.
inputs() {
  files_digest caffe_layers
  g++ --version | head -n 1
  sed 's/#.*//; /^[[:space:]]*$/d' caffe_layers/packages.txt |
    xargs dpkg-query -W 2>/dev/null
  "$python" -c 'import sys, numpy; print(sys.version, numpy.__version__)'
  if [[ -n ${CUDA:-} ]]; then
    echo "${CUDA_ARCHS:-}"
    "${CUDACXX:-nvcc}" --version
  fi
}
hash=$(inputs | digest)

prepare_source() {
  local key
  key=$(files_digest caffe_layers/patches caffe_layers/fetch_source.sh)
  [[ $(cat "$source/.patched" 2>/dev/null) == "$key" ]] && return
  caffe_layers/fetch_source.sh "$source"
  local file
  for file in caffe_layers/patches/*.patch; do
    patch -s -p1 -F0 -d "$source" <"$file" ||
      { echo "caffe: $file does not apply" >&2; exit 1; }
  done
  echo "$key" >"$source/.patched"
}

configure() {
  local options=("-DCAFFE_SRC=$source" "-DPython3_EXECUTABLE=$python"
    "-DPython3_FIND_VIRTUALENV=ONLY" "-DCMAKE_INSTALL_PREFIX=$prefix")
  if [[ -n ${CUDA:-} ]]; then
    options+=(-DWITH_CUDA=ON -UCMAKE_CUDA_ARCHITECTURES)
    [[ -z ${CUDA_ARCHS:-} ]] ||
      options+=("-DCMAKE_CUDA_ARCHITECTURES=$CUDA_ARCHS")
  fi
  cmake -S caffe_layers -B "$objects" -G Ninja -Wno-dev "${options[@]}" \
      >"$objects.log" 2>&1 ||
    { cat "$objects.log" >&2; echo "caffe: cmake failed" >&2; exit 1; }
}

build() {  # the targets named, with the log shown when one fails
  # Compilers of CUDA and of Caffe's tests take up to 1.5 GB each.
  local jobs memory
  memory=$(awk '/MemAvailable/ {print int($2 / 1500000)}' /proc/meminfo)
  jobs=$(nproc); [[ $memory -lt $jobs ]] && jobs=$((memory > 0 ? memory : 1))
  NINJA_STATUS='caffe [%f/%t] ' ninja -C "$objects" -j "$jobs" "$@"
}

install_prefix() {
  rm -rf "$prefix.new"
  DESTDIR="$prefix.new" cmake --install "$objects" --strip >"$objects.log" ||
    { cat "$objects.log" >&2; exit 1; }
  # cmake put the whole path below DESTDIR.
  mv "$prefix.new$prefix" "$prefix.ready"
  rm -rf "$prefix.new" && mv "$prefix.ready" "$prefix.new"
  echo "$hash" >"$prefix.new/.inputs"
}

put_into_place() {
  rm -rf "$prefix" && mv "$prefix.new" "$prefix"
}

save_to_cache() {  # so that another clone of the same commit need not build
  mkdir -p "$cache/builds" && [[ -w $cache/builds ]] || return 0
  rm -rf "$cache/builds/.new.$hash" "$cache/builds/$hash"
  cp -a "$prefix" "$cache/builds/.new.$hash" &&
    mv "$cache/builds/.new.$hash" "$cache/builds/$hash"
  # The five newest are enough.
  ls -1dt "$cache/builds"/* | tail -n +6 | xargs -r rm -rf
}

if [[ $(cat "$prefix/.inputs" 2>/dev/null) != "$hash" ]]; then
  if [[ -f $cache/builds/$hash/.inputs ]]; then
    echo "caffe: from the cache $cache/builds"
    rm -rf "$prefix.new" && cp -a "$cache/builds/$hash" "$prefix.new"
    put_into_place
  else
    prepare_source
    configure
    build all
    install_prefix
    put_into_place
    save_to_cache
    echo "caffe: installed into build/$kind"
  fi
fi
if [[ ${1:-} == --tests ]]; then
  prepare_source
  [[ -f $objects/build.ninja ]] || configure
  build tests
fi

# The environment of this Python gets pycaffe and the command line tools.
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\nimport os; %s or %s\n' "$prefix/python" \
  '"OMP_WAIT_POLICY" in os.environ' \
  'os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="1000")' \
  >"$site/caffe.pth"
for tool in "$prefix"/bin/*; do
  ln -sfn "$tool" "$(dirname "$python")/$(basename "$tool")"
done
