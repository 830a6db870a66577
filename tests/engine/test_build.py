"""Caffe's source and build, and how it is found from Python and the shell."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading

import pytest
from conftest import BUILD_CACHE, CAFFE, ROOT, run

FETCH = ROOT / "caffe_layers/fetch_source.sh"
COMMIT = "99bd99795dcdf0b1d3086a8d67ab1782a8a08383"
needs_tarball = pytest.mark.skipif(
    not (BUILD_CACHE / "caffe-99bd997.tar.gz").exists(),
    reason="Caffe's source is not in the cache: this build came from CAFFE_SOURCE",
)


@pytest.fixture
def offline(tmp_path):
    """An environment with an empty cache and an apt-get that gets nothing."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "apt-get").write_text(
        "#!/bin/sh\necho 'E: no network' >&2\nexit 100\n"
    )
    (bin_folder / "apt-get").chmod(0o755)
    return {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "DEC_CACHE": str(tmp_path / "cache"),
        "CAFFE_UPSTREAM": "http://127.0.0.1:9",
    }


def fetch(folder, environment):
    return run([FETCH, folder / "source"], folder, **environment)


def test_pycaffe_knows_the_layer():
    import caffe

    assert "MultiTLoss" in list(caffe.layer_type_list())


def test_threads_spin_for_a_moment_only(tmp_path):
    """In Python and in Caffe's tools; unless the user has chosen a policy."""
    names = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
    code = f"import os; print(*map(os.environ.get, {names}))"
    # The wrapper calls the tool beside it, which here prints what it got.
    wrapper, tool = tmp_path / "bin/caffe", tmp_path / "libexec/caffe"
    for script in wrapper, tool:
        script.parent.mkdir()
    wrapper.write_text(CAFFE.read_text())
    tool.write_text(f'#!/bin/sh\necho "${names[0]} $' + f'{names[1]}"\n')
    for script in wrapper, tool:
        script.chmod(0o755)
    free = {name: value for name, value in os.environ.items() if name not in names}
    for command in [sys.executable, "-c", code], [wrapper]:
        for chosen, expected in ("", "PASSIVE 1000"), ("ACTIVE", "ACTIVE"):
            more = {names[0]: chosen} if chosen else {}
            result = subprocess.run(
                command, env={**free, **more}, capture_output=True, text=True
            )
            assert result.stdout.replace("None", "").strip() == expected


def test_blas_is_the_openmp_variant():
    library = ROOT / "build/caffe/lib/libcaffe.so"
    libraries = subprocess.run(["ldd", library], capture_output=True, text=True).stdout
    blas = [line for line in libraries.splitlines() if "libopenblas" in line]
    assert len(blas) == 1 and "openblas-openmp" in blas[0]


def test_a_second_build_does_nothing():
    before = (ROOT / "build/caffe/lib/libcaffe.so").stat().st_mtime_ns
    result = run([ROOT / "caffe_layers/build.sh"], ROOT)
    assert result.returncode == 0 and result.stdout == ""
    assert (ROOT / "build/caffe/lib/libcaffe.so").stat().st_mtime_ns == before


def test_cuda_0_is_a_build_for_the_cpu():
    """Which is there already, so nothing is built."""
    before = sorted((ROOT / "build").iterdir())
    result = run([ROOT / "caffe_layers/build.sh"], ROOT, CUDA="0")
    assert result.returncode == 0 and result.stdout == ""
    assert sorted((ROOT / "build").iterdir()) == before


@needs_tarball
def test_source_from_a_tarball_or_folder_that_the_user_names(tmp_path, offline):
    tarball = BUILD_CACHE / "caffe-99bd997.tar.gz"
    result = fetch(tmp_path, {**offline, "CAFFE_SOURCE": str(tarball)})
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "source"
    assert (folder / "src/caffe/net.cpp").exists()
    folder.rename(tmp_path / "named")
    named = {**offline, "CAFFE_SOURCE": str(tmp_path / "named")}
    assert fetch(tmp_path, named).returncode == 0
    assert (folder / "src/caffe/net.cpp").exists()


@needs_tarball
def test_source_with_a_change_is_refused(tmp_path, offline):
    tarball = BUILD_CACHE / "caffe-99bd997.tar.gz"
    assert fetch(tmp_path, {**offline, "CAFFE_SOURCE": str(tarball)}).returncode == 0
    changed = tmp_path / "changed"
    shutil.move(tmp_path / "source", changed)
    with open(changed / "src/caffe/net.cpp", "a") as file:
        file.write("// one more line\n")
    result = fetch(tmp_path, {**offline, "CAFFE_SOURCE": str(changed)})
    assert result.returncode == 1
    assert f"is not Caffe's commit {COMMIT}" in result.stderr
    assert not (tmp_path / "source").exists()


def test_source_named_that_is_not_there(tmp_path, offline):
    result = fetch(tmp_path, {**offline, "CAFFE_SOURCE": "/none"})
    assert result.returncode == 1 and "CAFFE_SOURCE=/none" in result.stderr


@needs_tarball
def test_source_from_upstream_where_debian_has_none(tmp_path, offline):
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(BUILD_CACHE / "caffe-99bd997.tar.gz", served / f"{COMMIT}.tar.gz")
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(served)
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        result = fetch(tmp_path, {**offline, "CAFFE_UPSTREAM": url})
        server.shutdown()
    assert result.returncode == 0, result.stderr
    assert "from upstream, verified" in result.stderr
    # And from then on from the cache.
    shutil.rmtree(tmp_path / "source")
    result = fetch(tmp_path, offline)
    assert result.returncode == 0 and "from the cache" in result.stderr


def test_no_source_at_all_says_how_to_supply_it(tmp_path, offline):
    result = fetch(tmp_path, offline)
    assert result.returncode == 1
    assert "make caffe CAFFE_SOURCE=" in result.stderr
    assert "E: no network" in result.stderr
    assert not (tmp_path / "source").exists()


@needs_tarball
def test_a_damaged_cache_is_not_used(tmp_path, offline):
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "caffe-99bd997.tar.gz").write_bytes(b"half a file")
    result = fetch(tmp_path, offline)
    assert result.returncode == 1 and "make caffe CAFFE_SOURCE=" in result.stderr
