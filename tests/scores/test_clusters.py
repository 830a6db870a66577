import itertools

import numpy as np
import pytest

from dec.scores.clusters import accuracy, contingency, match, scores


def best_by_trying(labels, clusters, k):
    classes = int(labels.max()) + 1
    size = max(classes, k)
    return max(
        np.mean(np.array(order)[clusters] == labels)
        for order in itertools.permutations(range(size))
    )


@pytest.mark.parametrize("classes,k", [(3, 3), (4, 2), (2, 5), (1, 1)])
def test_accuracy_is_the_best_of_all_one_to_one_matches(classes, k):
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels = rng.integers(0, classes, 30)
        clusters = rng.integers(0, k, 30)
        expected = best_by_trying(labels, clusters, k)
        assert accuracy(labels, clusters, k) == pytest.approx(expected)


def test_renamed_clusters_are_perfect():
    labels = np.array([0, 0, 1, 1, 2, 2])
    clusters = np.array([2, 2, 0, 0, 1, 1])
    assert scores(labels, clusters, 3) == pytest.approx(
        {"acc": 1.0, "nmi": 1.0, "ari": 1.0}
    )
    assert match(contingency(labels, clusters, 3)).tolist() == [2, 0, 1]


def test_nmi_divides_by_the_mean_of_the_entropies():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    clusters = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    # I = 1 bit, H = 1 and 2 bits.
    assert scores(labels, clusters, 4)["nmi"] == pytest.approx(1 / 1.5)


NUMBERS = np.arange(60)
KNOWN = NUMBERS * 7 % 4


# The first as formulas of our own had it.
@pytest.mark.parametrize(
    "labels, clusters, k, nmi, ari",
    [
        (KNOWN, np.where(NUMBERS % 3, NUMBERS * 11 % 5, KNOWN), 5,
         0.10995031680934153, 0.06455266138165346),
        ([0] * 6, [0] * 6, 1, 1.0, 1.0),
        ([0] * 6, [0, 0, 1, 1, 2, 2], 3, 0.0, 0.0),
        ([0, 0, 1, 1, 2, 2], [0] * 6, 3, 0.0, 0.0),
        ([0, 1, 2, 3], [3, 2, 1, 0], 4, 1.0, 1.0),
    ],
)  # fmt: skip
def test_known_scores(labels, clusters, k, nmi, ari):
    found = scores(np.array(labels), np.array(clusters), k)
    assert found["nmi"] == pytest.approx(nmi, abs=1e-12)
    assert found["ari"] == pytest.approx(ari, abs=1e-12)


def test_class_without_cluster_is_marked():
    table = contingency(np.array([0, 1, 2]), np.array([0, 1, 1]), 2)
    assert table.shape == (3, 2)
    assert sorted(match(table).tolist())[0] == -1
