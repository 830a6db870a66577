"""Upstream's own tests of pycaffe, on the pycaffe that we install.

All but test_draw.py, which needs Graphviz.
"""

import re
import sys

import pytest
from conftest import ROOT, run

TESTS = ROOT / "build/caffe-source/python/caffe/test"

# Upstream draws inputs without a seed, and an output near 0 is then off by more
# than the tolerance: 14 of 2,000 times with Caffe's own layers, 16 with oneDNN's.
# With this seed rounding stays below 2% of the tolerance.
SEEDED = """
import unittest, numpy, caffe
numpy.random.seed(1)
caffe.set_random_seed(1)
unittest.main(module=None, argv=["unittest", "discover", "-p", "test_[!d]*.py"])
"""


def test_upstreams_tests_pass():
    if not TESTS.exists():
        pytest.skip(
            "Caffe's source is not unpacked: caffe_layers/build.sh --tests does"
        )
    result = run([sys.executable, "-c", SEEDED], TESTS, GLOG_minloglevel="1")
    assert result.returncode == 0, result.stderr[-3000:]
    assert int(re.search(r"^Ran (\d+) tests", result.stderr, re.M)[1]) > 50
