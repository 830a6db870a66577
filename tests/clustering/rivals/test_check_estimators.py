"""scikit-learn's own checks of LDMGI and SEC; none is expected to fail."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from dec import LDMGI, SEC


@pytest.mark.filterwarnings("ignore:the neighbour graph falls into:UserWarning")
@parametrize_with_checks([LDMGI(), SEC()])
def test_check(estimator, check):
    check(estimator)
