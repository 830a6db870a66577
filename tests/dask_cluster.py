"""Dask workers on this machine, for tests of work that may be done on many."""

import contextlib

import joblib
import pytest


@contextlib.contextmanager
def dask_workers(count: int):
    """joblib's work is done by so many processes of Dask; yields their client."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with (
        distributed.LocalCluster(
            n_workers=count, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        client.wait_for_workers(count)
        yield client
