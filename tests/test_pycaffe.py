"""Upstream's own tests of pycaffe, on the pycaffe that we install.

All but test_draw.py, which needs Graphviz.
"""

import re
import sys

import pytest
from conftest import ROOT, run

TESTS = ROOT / "build/caffe-source/python/caffe/test"


def test_upstreams_tests_pass():
    if not TESTS.exists():
        pytest.skip(
            "Caffe's source is not unpacked: caffe_layers/build.sh --tests does"
        )
    command = [sys.executable, "-m", "unittest", "discover", "-p", "test_[!d]*.py"]
    result = run(command, TESTS, GLOG_minloglevel="1")
    assert result.returncode == 0, result.stderr[-3000:]
    assert int(re.search(r"^Ran (\d+) tests", result.stderr, re.M)[1]) > 50
