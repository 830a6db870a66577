"""Real data for tests: what lies in the folder that DEC_TEST_DATA names.

Tests that use it carry the mark `real`; `make test-real` runs them.
"""

import os
from pathlib import Path

import pytest

# Tests change the folder that they stand in.
_NAMED = os.environ.get("DEC_TEST_DATA")
_FOLDER = Path(_NAMED).resolve() if _NAMED else None


def real(*parts: str) -> Path:
    """A file or folder there (in it, or in its data/); skips where there is none."""
    if not _FOLDER:
        pytest.skip("DEC_TEST_DATA names no folder of real data")
    for base in (_FOLDER, _FOLDER / "data"):
        path = base.joinpath(*parts)
        if path.exists():
            return path
    pytest.skip(f"there is no {'/'.join(parts)} in DEC_TEST_DATA ({_FOLDER})")
