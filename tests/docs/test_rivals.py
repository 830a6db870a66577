"""The code of docs/rivals.md runs."""

import re

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs/rivals.md").read_text()


@pytest.mark.filterwarnings("ignore:the neighbour graph falls into:UserWarning")
def test_code_blocks_run():
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    names: dict = {}
    exec(code, names)
    assert len(names["labels"]) == 1797 and len(names["new"]) == 297
