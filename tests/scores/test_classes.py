"""Scores of predicted classes, by hand and from the literature."""

import numpy as np
import pytest

from dec.scores.classes import interval, measure


def test_wilsons_interval():
    # Worked examples, R. G. Newcombe, Statistics in Medicine 17 (1998), table I.
    for right, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        np.testing.assert_allclose(interval(right, n), (low, high), atol=5e-5)


def test_measures_by_hand():
    proba = np.array(
        [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1]]
    )
    found = measure(proba, np.array([0, 1, 1, 1]))
    assert found["table"] == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert (found["n"], found["right"], found["accuracy"]) == (4, 3, 0.75)
    assert found["recall"] == [1.0, pytest.approx(2 / 3), None]
    assert found["precision"] == [0.5, 1.0, None]
    assert found["loss"] == pytest.approx(-np.log([0.7, 0.8, 0.4, 0.7]).mean())
