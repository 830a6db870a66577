"""Features to clusters, against scikit-learn and float64; the cases that go wrong."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from dec.base.errors import DecError
from dec.deepcluster import cluster
from dec.deepcluster.cluster import Projection, equal_sizes, kmeans, nearest


def rows(n=300, d=12, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) * np.arange(1, d + 1) + 3).astype(np.float32)


def blobs(sizes, d=5, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(sizes), d)) * 8
    labels = np.repeat(np.arange(len(sizes)), sizes)
    points = centres[labels] + rng.normal(size=(len(labels), d)) * 0.1
    return points.astype(np.float32), labels


def test_projection_is_pca_whitened_of_unit_length(monkeypatch):
    x = rows()
    monkeypatch.setattr(cluster, "BLOCK", 64)
    found = Projection.fit(x, 5).rows(x)
    wanted = PCA(5, whiten=True, svd_solver="full").fit_transform(x.astype(np.float64))
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    signs = np.sign((found * wanted).sum(axis=0))
    np.testing.assert_allclose(found * signs, wanted, atol=1e-5)


def test_projection_of_fewer_images_than_numbers():
    found = Projection.fit(rows(4, 12), 10)
    assert found.axes.shape == (12, 3)  # three directions are all that four rows have


def test_projection_refuses_what_says_nothing():
    with pytest.raises(DecError, match="all images have the same features"):
        Projection.fit(np.full((10, 4), 7.3, np.float32), 2)
    with pytest.raises(DecError, match="all images have the same features"):
        Projection.fit(rows(1), 2)
    x = rows()
    x[3, 1] = np.nan
    with pytest.raises(DecError, match="NaN"):
        Projection.fit(x, 2)


def test_kmeans_finds_blobs_and_its_own_sse():
    points, labels = blobs([40, 40, 40])
    found = min((kmeans(points, 3, seed, 20) for seed in range(5)), key=lambda c: c.sse)
    pairs = set(zip(labels.tolist(), found.assigned.tolist(), strict=True))
    assert len(pairs) == 3
    apart = points.astype(np.float64) - found.centres[found.assigned]
    assert found.sse == pytest.approx((apart**2).sum(axis=1).mean(), rel=1e-5)
    same = kmeans(points, 3, 1, 20), kmeans(points, 3, 1, 20)
    assert np.array_equal(same[0].centres, same[1].centres)
    with pytest.raises(DecError, match="2 images cannot make 3 clusters"):
        kmeans(points[:2], 3, 1, 20)


def test_nearest_is_nearest():
    points, _ = blobs([30, 30])
    centres = rows(7, 5)
    apart = ((points[:, None].astype(np.float64) - centres) ** 2).sum(axis=2)
    assert np.array_equal(nearest(points, centres), apart.argmin(axis=1))


def test_an_empty_cluster_gets_half_of_the_largest():
    points, _ = blobs([50, 10])
    assigned = np.repeat([0, 2], [50, 10])  # 1 and 3 are empty
    found, changed = cluster.split_largest(points, assigned, 4)
    sizes = np.bincount(found, minlength=4)
    assert sizes.min() > 0 and sizes[2] == 10 and sizes[[0, 1, 3]].sum() == 50
    assert len(changed) == 4
    # The halves lie apart: each is on its side of the other's mean.
    assert np.bincount(assigned, minlength=4)[[1, 3]].sum() == 0


def test_equal_rows_cannot_be_split():
    points = np.ones((9, 3), np.float32)
    found = kmeans(points, 4, 1, 5)
    assert found.empty == 3 and found.split == 0
    assert (np.bincount(found.assigned, minlength=4) > 0).sum() == 1


def test_sinkhorn_makes_clusters_of_about_one_size(monkeypatch):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(600, 4)) + [3, 0, 0, 0] * (rng.random((600, 1)) < 0.7)
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    monkeypatch.setattr(cluster, "BLOCK", 128)
    centres = np.concatenate([points[points[:, 0] < 0][:5], [[1, 0, 0, 0]]])
    free = np.bincount(nearest(points, centres), minlength=6)
    equal = np.bincount(equal_sizes(points, centres).assigned, minlength=6)
    assert free.max() > 350
    assert equal.max() < 140 and equal.min() > 60


def test_an_epoch_draws_as_many_of_each_cluster():
    assigned = np.repeat([0, 1, 3], [60, 3, 30])  # 2 is empty
    order = cluster.uniform_order(assigned, 4, 90, np.random.default_rng(1))
    drawn = np.bincount(assigned[order], minlength=4)
    assert len(order) == 90 and drawn[2] == 0
    assert np.ptp(drawn[[0, 1, 3]]) <= 3  # 31 of each, less the three that are cut
    large = order[assigned[order] == 0]
    assert len(np.unique(large)) == len(large)  # none twice where there are enough
    assert not np.array_equal(np.sort(order), order)


def test_a_last_layer_of_means_says_the_nearest_mean():
    from dec.deepcluster.fixed import centroid_head

    points, labels = blobs([30, 50, 20], d=8)
    weight, bias = centroid_head(points, labels, 4)  # the last is empty
    rows = np.maximum(points, 0).astype(np.float64)
    means = np.array([rows[labels == c].mean(axis=0) for c in range(3)])
    wanted = ((rows[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert np.array_equal((rows @ weight.T + bias)[:, :3].argmax(axis=1), wanted)
