"""DEC as an estimator: results, what it is saved as, and who may call it."""

import contextlib
import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from conftest import DEC as COMMAND
from conftest import assert_clear_error, blobs, run
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_own import make_small_own
from test_pipeline import assert_same_weights, rows_of

from dec import DEC
from dec.base.errors import DecError

ITER = 60  # iterations of phase 1


def new(**more) -> DEC:
    return DEC(**{"n_clusters": 3, "pretrain_iter": ITER, "random_state": 4} | more)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with small nets, in which the tests of this file stand."""
    folder = make_small_own(tmp_path_factory.mktemp("estimator"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def fitted(place):
    return new().fit(blobs()[0])


@pytest.fixture(scope="module")
def saved(fitted, place):
    fitted.save("runs/saved")
    return place / "runs/saved"


def test_importing_dec_imports_neither_caffe_nor_sklearn():
    code = "import sys, dec; print({'caffe', 'sklearn', 'numpy'} & set(sys.modules))"
    result = run([sys.executable, "-c", code], Path())
    assert result.stdout == "set()\n", result.stderr


def test_what_fit_leaves(fitted):
    rows, labels = blobs()
    assert adjusted_rand_score(labels, fitted.labels_) > 0.9
    assert fitted.labels_.dtype == np.int32 and fitted.labels_.shape == (len(rows),)
    assert fitted.n_iter_ == len(fitted.history_) >= 1
    assert {"round", "loss", "changed", "seconds"} <= fitted.history_[-1].keys()
    assert fitted.n_features_in_ == rows.shape[1]
    assert fitted.seed_ == 4


def test_training_rows_get_their_labels_again(fitted):
    rows, _ = blobs()
    assert np.array_equal(fitted.predict(rows), fitted.labels_)
    assert np.array_equal(fitted.predict(rows[17:18]), fitted.labels_[17:18])


def test_the_nearest_centre_in_the_code_is_the_cluster(fitted):
    rows, _ = blobs()
    code = fitted.transform(rows)
    assert code.shape == (len(rows), 2) and code.dtype == np.float32
    away = ((code[:, None] - fitted.cluster_centers_) ** 2).sum(axis=2)
    assert np.array_equal(away.argmin(axis=1), fitted.labels_)
    nearest = np.sort(np.sqrt(away), axis=1)
    wanted = np.mean(1 - nearest[:, 0] / nearest[:, 1])
    assert fitted.score(rows) == pytest.approx(wanted, abs=1e-4)


def test_the_command_line_comes_to_the_same(fitted, place):
    """One path: the same rows as a file, by `dec run npy`."""
    project = place / "by-command"
    shutil.copytree(place / "prototxt", project / "prototxt")
    solver = project / "prototxt/dec/own/short/few_stack_solver.prototxt"
    text = solver.read_text().replace("max_iter: 5000", f"max_iter: {ITER}")
    text = text.replace("60-passes", "1-passes").replace(
        "500-iterations", f"{ITER}-iterations"
    )
    solver.write_text(text)
    np.save(project / "x.npy", blobs()[0])
    words = ["run", "npy", "--from", "x.npy", "--clusters", "3", "--seed", "4"]
    result = run([COMMAND, *words], project)
    assert result.returncode == 0, result.stderr
    there = project / "runs/npy"
    assigned = [int(row["cluster"]) for row in rows_of(there / "assignments.csv")]
    assert fitted.labels_.tolist() == assigned
    assert_same_weights(
        there / "final.caffemodel", fitted._model.path / "final.caffemodel"
    )
    loaded = DEC.load(there)
    assert np.array_equal(loaded.predict(blobs()[0]), fitted.labels_)
    assert loaded.get_params()["n_clusters"] == 3
    assert loaded.get_params()["random_state"] == 4


def test_same_seed_same_bits_after_other_work_in_the_process(fitted):
    rows, _ = blobs()
    # Its OpenMP threads would be missing in a child of this thread.
    KMeans(3, n_init=2).fit(np.random.default_rng(0).normal(size=(20_000, 8)))
    again = clone(fitted).fit(rows)
    assert np.array_equal(again.labels_, fitted.labels_)
    assert np.array_equal(again.transform(rows), fitted.transform(rows))
    other = new(random_state=5).fit(rows)
    assert not np.array_equal(other.transform(rows), fitted.transform(rows))


@pytest.mark.parametrize("kind", [scipy.sparse.csr_matrix, scipy.sparse.coo_array])
def test_a_sparse_matrix_is_as_the_same_dense(fitted, kind):
    rows, _ = blobs()
    model = new().fit(kind(rows), y="ignored")
    assert np.array_equal(model.labels_, fitted.labels_)
    assert np.array_equal(model.predict(kind(rows)), fitted.labels_)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, np.float64])
def test_types_of_numbers(place, dtype):
    rows, _ = blobs()
    rows = rows > 0 if dtype is bool else np.abs(rows * 20).astype(dtype)
    model = new(max_iter=1).fit(rows)
    assert np.array_equal(model.predict(rows), model.labels_)


def test_scaling(place):
    rows, _ = blobs()
    model = new(max_iter=1).fit(rows)
    scale = model._model.preparation().scale
    assert np.mean((rows * scale) ** 2) == pytest.approx(1, rel=1e-6)
    # By a power of two the scaled rows, and so all that follows, are the same bits.
    other = new(max_iter=1).fit(rows * 4)
    assert np.array_equal(other.transform(rows * 4), model.transform(rows))
    plain = new(max_iter=1, scale=None).fit(rows)
    assert plain._model.preparation().scale == 1
    assert not np.array_equal(plain.transform(rows), model.transform(rows))


def test_parameters_reach_the_run(place):
    rows, _ = blobs()
    numpys = {"n_clusters": np.int64(3), "tol": np.float32(0)}
    model = new(update_interval=3, max_iter=2, init="plain", **numpys).fit(rows)
    metrics = model._model.results().metrics
    assert model.n_iter_ == 2 and not metrics["converged"]
    assert (metrics["interval"], metrics["start"], metrics["tol"]) == (3, "plain", 0)
    weights = next(model._model.path.glob(f"stack_iter_{ITER}.caffemodel"))
    given = new(pretrain=weights, max_iter=2).fit(rows)
    assert not list(given._model.path.glob("stack*"))
    with pytest.raises(DecError, match="short2"):
        new(pretrain="short2").fit(rows)


# ---- Saving


def test_the_command_line_opens_what_is_saved(saved, fitted, place):
    rows, _ = blobs()
    np.save(place / "new.npy", rows[:20])
    summary = run([COMMAND, "summary", "runs/saved"], place)
    assert (
        summary.returncode == 0 and "600 rows in 3 clusters, seed 4" in summary.stdout
    )
    report = run([COMMAND, "report", "runs/saved"], place)
    assert report.returncode == 0, report.stderr
    page = (saved / "report.html").read_text()
    assert "saved/rows, 600 rows" in page
    found = run([COMMAND, "assign", "runs/saved", "new.npy"], place)
    assert found.returncode == 0, found.stderr
    clusters = [int(line.split(",")[1]) for line in found.stdout.splitlines()[1:]]
    assert clusters == fitted.labels_[:20].tolist()
    # What needs images or labels says so.
    export = run([COMMAND, "export", "runs/saved"], place)
    assert_clear_error(export, "its rows are not images")
    assert_clear_error(run([COMMAND, "table", "runs/saved"], place), "no labels")


def test_a_saved_run_names_no_other_folder(saved, fitted):
    for file in (saved / "prototxt").glob("*.prototxt"):
        assert str(fitted._model.path) not in file.read_text()
    assert 'source: "saved/rows"' in (saved / "prototxt/dec.prototxt").read_text()


def test_loaded_is_as_saved(saved, fitted, place):
    rows, _ = blobs()
    loaded = DEC.load(saved)
    assert loaded.get_params() == fitted.get_params()
    for name in ("labels_", "cluster_centers_", "history_", "n_features_in_"):
        assert np.array_equal(getattr(loaded, name), getattr(fitted, name)), name
    assert np.array_equal(loaded.transform(rows), fitted.transform(rows))
    loaded.save("runs/copy")
    assert 'source: "copy/rows"' in Path("runs/copy/prototxt/dec.prototxt").read_text()


def test_save_replaces_a_run_and_nothing_else(fitted, place):
    fitted.save("runs/twice")
    (place / "runs/twice/left.txt").write_text("of the first")
    fitted.save("runs/twice")
    assert not (place / "runs/twice/left.txt").exists()
    (place / "other").mkdir()
    (place / "other/mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other things"):
        fitted.save("other")
    assert (place / "other/mine.txt").read_text() == "mine"


def test_column_names_are_kept(place):
    model = new(max_iter=1).fit(blobs()[0])
    model.feature_names_in_ = np.array(list("abcdef"), dtype=object)
    model.save("runs/names")
    assert list(DEC.load("runs/names").feature_names_in_) == list("abcdef")


def test_pickled_without_its_rows(fitted):
    rows, _ = blobs()
    text = pickle.dumps(fitted)
    copy = pickle.loads(text)
    assert np.array_equal(copy.predict(rows), fitted.labels_)
    assert not (copy._model.path / "rows").exists()
    copy.save("runs/pickled")
    for command in ("summary", "report"):
        result = run([COMMAND, command, "runs/pickled"], Path())
        assert result.returncode == 0, result.stderr


def test_its_folder_goes_with_it(place):
    model = new(max_iter=0).fit(blobs()[0])
    folder = model._model.path
    assert folder.is_dir()
    del model
    assert not folder.exists() and not folder.parent.exists()


# ---- Bad input


@pytest.mark.parametrize(
    "rows,words",
    [
        (np.full((9, 6), np.nan), "NaN"),
        (np.full((9, 6), np.inf), "infinity"),
        (np.ones(9), "Expected 2D array, got 1D"),
        (np.ones((2, 6)), "n_samples=2 should be >= n_clusters=3"),
        (np.ones((9, 6), complex), "Complex data not supported"),
        (np.array([["a"] * 6] * 9), "numeric"),
        (np.zeros((9, 6)), "cannot be scaled to 1"),
        (np.ones((9, 6)), "all rows have the same code"),
        (np.full((9, 6), 1e300), "cannot be scaled to 1"),
    ],
)
def test_bad_rows(place, rows, words):
    with pytest.raises(ValueError, match=words):
        new().fit(rows)


@pytest.mark.parametrize(
    "name,value",
    [("n_clusters", 0), ("init", "random"), ("scale", "minmax"), ("tol", 1.0)]
    + [("device", "tpu"), ("pretrain_iter", 0), ("random_state", -1), ("max_iter", -1)],
)
def test_bad_parameters(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of DEC"):
        new(**{name: value}).fit(blobs()[0])


def test_rows_of_another_width(fitted):
    with pytest.raises(ValueError, match="X has 5 features, but DEC is expecting 6"):
        fitted.predict(np.ones((4, 5)))


def test_not_fitted():
    for method in ("predict", "transform", "score"):
        with pytest.raises(NotFittedError):
            getattr(new(), method)(blobs()[0])
    with pytest.raises(NotFittedError):
        new().save("nowhere")


def test_the_log_that_an_error_names_is_kept(place):
    own = Path("prototxt/dec/own/short/few_stack_solver.prototxt")
    text = own.read_text()
    try:
        own.write_text(text.replace('lr_policy: "poly"', 'lr_policy: "none"'))
        with pytest.raises(ValueError, match="Unknown learning rate") as info:
            new().fit(blobs()[0])
    finally:
        own.write_text(text)
    log = Path(str(info.value).split("the whole log is ")[1].rstrip(")"))
    assert "Unknown learning rate" in log.read_text()
    assert not (log.parent / "rows").exists()
    shutil.rmtree(log.parents[1])


def test_folders_without_a_run(tmp_path):
    with pytest.raises(ValueError, match="no finished run"):
        DEC.load(tmp_path)


# ---- In company


def test_in_a_pipeline_and_a_grid_search(place):
    rows, _ = blobs()
    pipe = make_pipeline(StandardScaler(), new(max_iter=2))
    search = GridSearchCV(pipe, {"dec__n_clusters": [2, 3]}, cv=2, error_score="raise")
    search.fit(rows)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_estimator_
    assert np.array_equal(best.predict(rows), best[-1].labels_)
    assert list(best.get_feature_names_out()) == ["dec0", "dec1"]


def test_from_threads_one_at_a_time(fitted):
    rows, _ = blobs()
    models = [clone(fitted) for _ in range(2)]
    threads = [threading.Thread(target=model.fit, args=(rows,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model in models:
        assert np.array_equal(model.labels_, fitted.labels_)


def test_words_go_where_sys_stderr_leads(fitted, capfd):
    rows, _ = blobs()
    with contextlib.redirect_stderr(io.StringIO()) as text:
        clone(fitted).set_params(verbose=1).fit(rows)
    for word in ("writing rows", "stack", f"{ITER}/{ITER}", "round   1"):
        assert word in text.getvalue()
    with contextlib.redirect_stderr(io.StringIO()) as text:
        clone(fitted).fit(rows)
    assert text.getvalue() == ""
    assert capfd.readouterr() == ("", "")


def test_an_interrupt_of_the_process_alone_ends_its_child(place):
    code = (
        "import numpy as np; from dec import DEC\n"
        "rows = np.random.default_rng(0).normal(size=(600, 6))\n"
        "try: DEC(3, pretrain_iter=100_000_000, random_state=1).fit(rows)\n"
        "except KeyboardInterrupt: print('ended')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    child = wait_for(lambda: grandchild(process.pid))
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "ended\n"
    assert not os.path.exists(f"/proc/{child}")


def grandchild(pid: int) -> int | None:
    """The child that one of its threads has forked."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            for word in (task / "children").read_text().split():
                return int(word)
    return None


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found
