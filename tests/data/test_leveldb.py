"""LevelDBs of Datums: against protobuf, damaged in many ways, killed while writing."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import disks
import numpy as np
import plyvel
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import dec
from dec.base import atomic
from dec.base.errors import DecError
from dec.data import leveldb
from dec.data.leveldb import open_reader, read_meta, write_rows
from dec.data.leveldb.database import DatabaseInUse
from dec.data.leveldb.datum import decode_datum


def own_datum_class(packed):
    """Caffe's Datum as protobuf builds it from the field list of caffe.proto."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name=f"datum_{packed}.proto", package=f"test{packed}", syntax="proto2"
    )
    message = file.message_type.add(name="Datum")
    for number, (name, kind) in enumerate(
        [
            ("channels", field.TYPE_INT32),
            ("height", field.TYPE_INT32),
            ("width", field.TYPE_INT32),
            ("data", field.TYPE_BYTES),
            ("label", field.TYPE_INT32),
            ("float_data", field.TYPE_FLOAT),
            ("encoded", field.TYPE_BOOL),
        ],
        1,
    ):
        floats = name == "float_data"
        label = field.LABEL_REPEATED if floats else field.LABEL_OPTIONAL
        added = message.field.add(name=name, number=number, type=kind, label=label)
        if floats and packed:
            added.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"test{packed}.Datum")
    )


@pytest.fixture(scope="module", params=["unpacked", "packed", "caffe"])
def datum_class(request):
    if request.param != "caffe":
        return own_datum_class(request.param == "packed")
    caffe_pb2 = pytest.importorskip(
        "caffe.proto.caffe_pb2", reason="pycaffe is not in this environment"
    )
    return caffe_pb2.Datum


def random_rows(rng):
    """Rows of a random kind and shape, their Datum shape, and labels or None."""
    n = int(rng.integers(1, 30))
    if rng.random() < 0.5:
        shape = tuple(int(i) for i in rng.integers(1, 9, 3))
    else:
        shape = (int(rng.integers(1, 300)),)
    if rng.random() < 0.5:
        rows = rng.integers(0, 256, (n, *shape), np.uint8)
    else:
        rows = rng.normal(size=(n, *shape)).astype(np.float32)
    # Small ones, those of many varint bytes, negative ones.
    high = int(rng.choice([2, 300, 2**31]))
    labels = rng.integers(-high if rng.random() < 0.3 else 0, high, n)
    full = shape if len(shape) == 3 else (*shape, 1, 1)
    return rows, full, labels if rng.random() < 0.8 else None


def test_protobuf_reads_what_we_write(tmp_path, datum_class):
    rng = np.random.default_rng(1)
    for trial in range(15):
        rows, shape, labels = random_rows(rng)
        assert write_rows(tmp_path / f"{trial}", rows, labels) == len(rows)
        with plyvel.DB(str(tmp_path / f"{trial}")) as db:
            items = list(db)
        assert [key for key, _ in items] == [b"%08d" % i for i in range(len(rows))]
        for i, (_, value) in enumerate(items):
            datum = datum_class.FromString(value)
            assert (datum.channels, datum.height, datum.width) == shape
            assert datum.HasField("label") == (labels is not None)
            assert labels is None or datum.label == labels[i]
            if rows.dtype == np.uint8:
                assert datum.data == rows[i].tobytes()
                assert not datum.float_data
            else:
                np.testing.assert_array_equal(datum.float_data, rows[i].ravel())
                assert not datum.HasField("data")


def test_we_read_what_protobuf_writes(tmp_path, datum_class):
    rng = np.random.default_rng(2)
    for trial in range(15):
        rows, shape, labels = random_rows(rng)
        with plyvel.DB(str(tmp_path / f"{trial}"), create_if_missing=True) as db:
            for i, row in enumerate(rows):
                datum = datum_class(channels=shape[0], height=shape[1], width=shape[2])
                if rows.dtype == np.uint8:
                    datum.data = row.tobytes()
                else:
                    datum.float_data.extend(row.ravel().tolist())
                if labels is not None:
                    datum.label = int(labels[i])
                if i % 2:
                    datum.encoded = False
                db.put(b"%08d" % i, datum.SerializeToString())
        with open_reader(tmp_path / f"{trial}") as reader:
            assert (reader.rows, reader.shape) == (len(rows), shape)
            assert reader.meta is None
            x, y = reader.read()
        np.testing.assert_array_equal(x, rows.reshape(len(rows), -1))
        np.testing.assert_array_equal(y, -1 if labels is None else labels)
        assert (x.dtype, y.dtype) == (np.float32, np.int32)


def test_batches(tmp_path):
    rows = np.arange(700, dtype=np.float32).reshape(100, 7)
    write_rows(tmp_path / "db", rows, np.arange(100))
    with open_reader(tmp_path / "db") as reader:
        for start, stop, size in [
            (0, None, 1024),
            (3, 90, 10),
            (99, 100, 1),
            (5, 5, 3),
        ]:
            parts = list(reader.batches(start, stop, size))
            expected = rows[start:stop]
            assert all(len(x) == size for x, _ in parts[:-1])
            got = np.concatenate([x for x, _ in parts] or [expected[:0]])
            np.testing.assert_array_equal(got, expected)
        x, y = reader.read(20, 30)
        np.testing.assert_array_equal(x, rows[20:30])
        np.testing.assert_array_equal(y, np.arange(20, 30))
        assert reader.read(4, 4)[0].shape == (0, 7)
        for wrong in [(0, 101), (-1, 5), (6, 5)]:
            with pytest.raises(DecError, match="it has 100"):
                reader.read(*wrong)


def test_iterables(tmp_path):
    rows = np.arange(60, dtype=np.float64).reshape(20, 3)

    def read(name):
        with open_reader(tmp_path / name) as reader:
            return reader.read()[0]

    write_rows(tmp_path / "blocks", (rows[i : i + 6] for i in range(0, 20, 6)))
    write_rows(tmp_path / "single", list(rows))
    write_rows(tmp_path / "lists", rows.tolist(), list(range(20)))
    write_rows(tmp_path / "strided", rows[::2])
    for name in ("blocks", "single", "lists"):
        np.testing.assert_array_equal(read(name), rows)
    np.testing.assert_array_equal(read("strided"), rows[::2])
    images = np.arange(48, dtype=np.uint8).reshape(4, 3, 2, 2)
    write_rows(tmp_path / "images", iter(images))
    np.testing.assert_array_equal(read("images"), images.reshape(4, 12))
    assert read_meta(tmp_path / "images")["shape"] == [3, 2, 2]


def test_more_than_one_write_batch(tmp_path):
    rows = np.random.default_rng(0).normal(size=(3000, 1000)).astype(np.float32)
    write_rows(tmp_path / "db", [rows])
    with open_reader(tmp_path / "db") as reader:
        np.testing.assert_array_equal(reader.read()[0], rows)


def test_meta(tmp_path):
    meta = {"scale": 0.02, "sources": {"a": "b"}}
    write_rows(tmp_path / "db", np.ones((3, 4)), meta=meta)
    expected = {**meta, "format": leveldb.FORMAT, "rows": 3, "shape": [4, 1, 1]}
    assert read_meta(tmp_path / "db") == expected
    # LevelDB opens, writes, compacts and even repairs around the file.
    with plyvel.DB(str(tmp_path / "db")) as db:
        db.put(b"00000002", db.get(b"00000002"))
        db.compact_range()
    plyvel.repair_db(str(tmp_path / "db"))
    assert read_meta(tmp_path / "db") == expected
    with open_reader(tmp_path / "db") as reader:
        assert reader.meta == expected
    (tmp_path / "db" / "dec.json").write_text("{half")
    assert read_meta(tmp_path / "db") is None
    assert read_meta(tmp_path / "nowhere") is None


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("rows", "labels", "words"),
    [
        (np.array([[1, 2], [3, NAN]]), None, r"row 1 holds NaN .*at 1"),
        ([[1.0], [2.0], [-INF]], None, "row 2 holds NaN"),
        (np.full((2, 2), 1e39), None, "beyond float32's range"),
        (np.full((2, 1, 2, 2), NAN), None, r"row 0 .*at 0, 0, 0"),
        (np.empty((0, 5)), [], "no rows"),
        (iter([]), None, "no rows"),
        (np.empty((5, 0)), None, "not empty"),
        (np.ones((4, 28, 28)), None, r"\(4, 28, 28\)"),
        (np.ones(5), None, r"\(5,\)"),
        ([np.ones((2, 3)), np.ones((2, 4))], None, "row 2 has the shape"),
        ([[1, 2], [3]], None, "row 1 has the shape"),
        ([[[1, 2], [3]]], None, "different lengths"),
        (np.array([["a"]]), None, "not a type of numbers"),
        (np.ones((1, 1), complex), None, "not a type of numbers"),
        (np.ones((3, 2)), [1, 2], "2 labels for more rows"),
        (np.ones((3, 2)), [1, 2, 3, 4], "4 labels for 3 rows"),
        (np.ones((2, 2)), [0.5, 1], "integers"),
        (np.ones((2, 2)), [1, 2**31], "32 bits"),
        (np.ones((2, 2)), [[1], [2]], "integers"),
    ],
)
def test_rows_refused(tmp_path, rows, labels, words):
    write_rows(tmp_path / "db", np.ones((2, 2)))
    with pytest.raises(DecError, match=words):
        write_rows(tmp_path / "db", rows, labels)
    assert os.listdir(tmp_path) == ["db"]
    with open_reader(tmp_path / "db") as reader:
        assert reader.rows == 2


def test_too_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(leveldb.rows, "MAX_ROWS", 10)
    write_rows(tmp_path / "db", np.ones((10, 1)))
    with pytest.raises(DecError, match="more than 10 rows"):
        write_rows(tmp_path / "db", np.ones((11, 1)))


# Reading what is not right


def put(path, *items):
    with plyvel.DB(str(path), create_if_missing=True) as db:
        for key, value in items:
            db.put(key, value)


GOOD = b"\x08\x02\x10\x01\x18\x01\x28\x07\x32\x08" + b"\0\0\x80\x3f" * 2


def test_missing_and_foreign_folders(tmp_path):
    with pytest.raises(DecError, match="missing.*dec data"):
        open_reader(tmp_path / "nowhere")
    photo = tmp_path / "photos" / "cat.jpg"
    photo.parent.mkdir()
    photo.write_bytes(b"cat")
    with pytest.raises(DecError, match="not a LevelDB"):
        open_reader(photo.parent)
    with pytest.raises(DecError, match="cat.jpg"):
        write_rows(photo.parent, np.ones((2, 2)))
    assert os.listdir(photo.parent) == ["cat.jpg"]
    with pytest.raises(DecError, match="not a folder"):
        open_reader(photo)
    with pytest.raises(DecError, match="not touched"):
        write_rows(photo, np.ones((2, 2)))
    assert photo.read_bytes() == b"cat"
    assert os.listdir(tmp_path) == ["photos"]


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([], "no rows"),
        ([(b"00000001", GOOD)], "row 0 is missing"),
        ([(b"00000000", GOOD), (b"00000002", GOOD)], "row 1 is missing"),
        ([(b"00000000_cat.jpg", GOOD)], "not row numbers"),
        ([(b"00000000", b"")], "row 0: 0 numbers"),
        ([(b"00000000", GOOD[:-1])], "row 0: cut short"),
        ([(b"00000000", GOOD[:7])], "row 0: cut short"),
        ([(b"00000000", GOOD[:8] + b"\x35\0\0")], "row 0: cut short"),
        ([(b"00000000", GOOD[:8])], "row 0: 0 numbers in a shape"),
        ([(b"00000000", GOOD + b"\x35\0\0\0\0")], "row 0: 3 numbers in a shape"),
        ([(b"00000000", GOOD + b"\x38\1")], "compressed image"),
        ([(b"00000000", b"\x72" + GOOD)], "not a Datum"),
        ([(b"00000000", b"\xff" * 20)], "more than ten bytes"),
        ([(b"00000000", GOOD), (b"00000001", GOOD[:-1])], "row 1: cut short"),
        (
            [(b"00000000", GOOD), (b"00000001", b"\x08\1\x10\2" + GOOD[4:])],
            r"row 1 has the shape \(1, 2, 1\), row 0 \(2, 1, 1\)",
        ),
    ],
)
def test_damaged_rows(tmp_path, items, words):
    put(tmp_path / "db", *items)
    with pytest.raises(DecError, match=words), open_reader(tmp_path / "db") as reader:
        reader.read()


def test_floats_in_several_pieces():
    value = GOOD[:6] + b"\x32\x04" + b"\0\0\x80\x3f" + b"\x35\0\0\0\x40" + GOOD[6:8]
    shape, label, numbers = decode_datum(value)
    assert (shape, label, numbers.tolist()) == ((2, 1, 1), 7, [1, 2])


def big_db(path):
    rng = np.random.default_rng(0)
    write_rows(path, rng.normal(size=(300, 200)).astype(np.float32))
    return next(path.glob("*.ldb"))


@pytest.mark.parametrize("what", ["CURRENT", "MANIFEST-*", "*.ldb", "dec.json rows"])
def test_half_written(tmp_path, what):
    path = tmp_path / "db"
    big_db(path)
    if what == "dec.json rows":
        (path / "dec.json").write_text('{"rows": 301}')
    else:
        next(path.glob(what)).unlink()
    message = "Delete .*db and write it again"
    with pytest.raises(DecError, match=message), open_reader(path) as reader:
        reader.read()
    # And writing it again is possible without deleting it first.
    write_rows(path, np.ones((2, 2)))
    with open_reader(path) as reader:
        assert reader.rows == 2


def test_flipped_bits(tmp_path):
    table = big_db(tmp_path / "db")
    raw = bytearray(table.read_bytes())
    raw[len(raw) // 2] ^= 255
    table.write_bytes(raw)
    with (
        pytest.raises(DecError, match="orruption.*write it again"),
        open_reader(tmp_path / "db") as reader,
    ):
        reader.read()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_in_use(tmp_path, elsewhere):
    path = tmp_path / "db"
    write_rows(path, np.ones((2, 2)))
    if elsewhere:
        code = "import plyvel, sys; d = plyvel.DB(sys.argv[1]); print(1, flush=True)"
        holder = subprocess.Popen(
            [sys.executable, "-c", code + "; input()", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        holder.stdout.readline()
    else:
        holder = open_reader(path)
    with pytest.raises(DatabaseInUse, match="in use"):
        open_reader(path)
    with pytest.raises(DatabaseInUse, match="in use"):
        write_rows(path, np.zeros((3, 3)))
    if elsewhere:
        holder.communicate(b"\n")
    else:
        holder.close()
    with open_reader(path) as reader:
        assert reader.rows == 2


def test_in_use_by_caffe_in_this_process(tmp_path):
    # Caffe's copy of LevelDB has its own table of open databases; all that plyvel
    # could see of it is the open lock file.
    write_rows(tmp_path / "db", np.ones((2, 2)))
    with (
        open(tmp_path / "db" / "LOCK", "rb"),
        pytest.raises(DatabaseInUse, match="in use"),
    ):
        open_reader(tmp_path / "db")


# Kills, full disks, missing rights: what was there stays

PYTHON_PATH = str(Path(dec.__file__).parent.parent)


def python(code, *args):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        env={**os.environ, "PYTHONPATH": PYTHON_PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def test_kill_while_writing(tmp_path):
    path = tmp_path / "db"
    write_rows(path, np.full((5, 4), 7.0))
    writer = python(
        """
        import sys, time
        import numpy as np
        from dec.data.leveldb import write_rows

        def blocks():
            for i in range(3):
                yield np.zeros((1000, 1000))
            print("half", flush=True)
            time.sleep(60)

        write_rows(sys.argv[1], blocks())
        """,
        path,
    )
    writer.stdout.readline()
    writer.kill()
    writer.wait()
    writer.stdout.close()
    leftover = tmp_path / f"db.partial-{writer.pid}"
    assert leftover.is_dir()
    with open_reader(path) as reader:
        np.testing.assert_array_equal(reader.read()[0], np.full((5, 4), 7.0))
    write_rows(path, np.full((6, 4), 8.0))
    assert os.listdir(tmp_path) == ["db"]


def test_kills_at_any_moment(tmp_path):
    path = tmp_path / "db"
    write_rows(path, np.zeros((1, 3)))
    rng = random.Random(0)
    for _ in range(6):
        writer = python(
            """
            import itertools, sys
            import numpy as np
            from dec.data.leveldb import write_rows

            for i in itertools.count(1):
                write_rows(sys.argv[1], np.full((i, 3), i))
                print(i, flush=True)
            """,
            path,
        )
        writer.stdout.readline()
        time.sleep(rng.random() * 0.1)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        with open_reader(path) as reader:
            x, _ = reader.read()
        np.testing.assert_array_equal(x, np.full((len(x), 3), len(x)))
    write_rows(path, np.zeros((1, 3)))
    assert os.listdir(tmp_path) == ["db"]


@pytest.fixture
def small_disk(tmp_path):
    with disks.small_disk(tmp_path / "disk", "512k") as disk:
        yield disk


def test_full_disk(small_disk):
    write_rows(small_disk / "db", np.ones((3, 3)))
    rows = np.random.default_rng(0).normal(size=(300, 1000))
    with pytest.raises(DecError, match=f"{small_disk}/db.*No space left on device"):
        write_rows(small_disk / "db", rows)
    assert os.listdir(small_disk) == ["db"]
    with open_reader(small_disk / "db") as reader:
        np.testing.assert_array_equal(reader.read()[0], np.ones((3, 3)))
    atomic.write_text_atomic(small_disk / "note", "old")
    with pytest.raises(DecError, match="note: cannot be written: No space"):
        atomic.write_text_atomic(small_disk / "note", "new" * 200_000)
    assert (small_disk / "note").read_text() == "old"
    assert sorted(os.listdir(small_disk)) == ["db", "note"]


def test_read_only_disk(small_disk):
    write_rows(small_disk / "db", np.ones((3, 3)))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for name in ("db", "other"):
        with pytest.raises(DecError, match=f"{name}: .*Read-only file system"):
            write_rows(small_disk / name, np.ones((3, 3)))
    with pytest.raises(DecError, match="even to read, .*Read-only file system"):
        open_reader(small_disk / "db")


def test_no_permission(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(DecError, match="Permission denied"):
            write_rows(tmp_path / "db", np.ones((3, 3)))
    finally:
        tmp_path.chmod(0o755)
