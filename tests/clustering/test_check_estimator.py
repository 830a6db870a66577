"""scikit-learn's own checks of an estimator; none is expected to fail."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from small_own import make_small_own

from dec import DEC


@pytest.fixture(autouse=True, scope="module")
def small(tmp_path_factory):
    """Small nets: the checks fit some hundred times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(make_small_own(tmp_path_factory.mktemp("own")))
        yield


@parametrize_with_checks([DEC(pretrain_iter=40, max_iter=10)])
def test_check(estimator, check):
    check(estimator)
