"""What a net sees of images: middles, random parts, whatever the number of threads."""

import contextlib

import cv2
import numpy as np
import pytest

from dec.base.errors import DecError
from dec.data.leveldb import encoded, write_rows
from dec.data.leveldb.database import DatabaseInUse, open_database
from dec.deepcluster import images as images_module
from dec.deepcluster.images import DRAWS, TRIES, Feed, Images, Views

VIEWS = Views((8, 8), 10, (0.2, 1.0), (0.75, 4 / 3), True)


def pixels(n=50, side=12, seed=0):
    shape = (n, 3, side, side)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def database(tmp_path):
    meta = {"classes": ["a", "b", "c"]}
    write_rows(tmp_path / "db", pixels(), np.arange(50) % 3, meta)
    return tmp_path / "db"


def test_pixels_come_blue_first(database):
    images = Images(database)
    assert len(images) == 50 and images.has_labels
    assert np.array_equal(images[7], pixels()[7, ::-1].transpose(1, 2, 0))


def test_only_some_classes(database):
    images = Images(database, ["c", "a"])
    assert images.classes == ["c", "a"] and len(images) == 33
    assert images.name(0) == "db:0" and images.labels[:3].tolist() == [1, 0, 1]
    assert np.array_equal(images[1], pixels()[2, ::-1].transpose(1, 2, 0))
    with pytest.raises(DecError, match="has no class d; it has a, b, c"):
        Images(database, ["d"])


def test_rows_of_numbers_are_no_images(tmp_path):
    write_rows(tmp_path / "db", np.ones((5, 7), np.float32))
    with pytest.raises(DecError, match="are no images"):
        Images(tmp_path / "db")


def test_encoded_photos_of_any_shape(tmp_path):
    wide = np.full((20, 30, 3), 90, np.uint8)
    rows = [(f"{i}.jpg", cv2.imencode(".jpg", wide)[1].tobytes(), i) for i in (0, 1)]
    rows.append(("bad.jpg", b"no image", 1))
    encoded.write_photos(tmp_path / "db", rows, (30, 20), {"classes": ["x", "y"]})
    images = Images(tmp_path / "db")
    assert images.labels.tolist() == [0, 1, 1] and images.name(1) == "1.jpg"
    assert VIEWS.middle(images[0]).shape == (8, 8, 3)
    with pytest.raises(DecError, match="row 2 is no image"):
        images[2]


def test_the_middle_is_always_the_same():
    image = pixels(1)[0].transpose(1, 2, 0)
    seen = Views((8, 8), 12, (0.2, 1.0), (0.75, 4 / 3), True).middle(image)
    assert np.array_equal(seen, image[2:10, 2:10])


def test_random_parts_are_those_of_their_draws(database):
    images, rng = Images(database), np.random.default_rng(3)
    numbers, draws = rng.integers(0, 50, 40), rng.random((40, DRAWS))
    found = []
    for workers in (1, 3):
        out = np.empty((40, 3, 8, 8), np.float32)
        Feed(images, VIEWS, workers).randoms(numbers, draws, out)
        found.append(out)
    assert np.array_equal(*found)
    alone = VIEWS.random(images[numbers[5]], draws[5])
    assert np.array_equal(alone.transpose(2, 0, 1), found[0][5])


def test_areas_ratios_and_flips_are_as_asked_for():
    views = Views((8, 8), 10, (0.25, 0.5), (0.75, 4 / 3), True)
    rng = np.random.default_rng(0)
    top, left, height, width = views.parts((200, 100), rng.random((400, DRAWS))).T
    assert (top >= 0).all() and (top + height <= 200).all()
    assert (left >= 0).all() and (left + width <= 100).all()
    share = height * width / 20000
    assert share.min() > 0.24 and share.max() < 0.51
    assert (width / height).min() > 0.73 and (width / height).max() < 1.36
    image = pixels(1, 8)[0].transpose(1, 2, 0)
    whole = Views((8, 8), 8, (1.0, 1.0), (1.0, 1.0), True)
    flips = [whole.random(image, rng.random(DRAWS)) for _ in range(200)]
    flipped = sum(np.array_equal(one, image[:, ::-1]) for one in flips)
    same = sum(np.array_equal(one, image) for one in flips)
    assert flipped + same == 200 and 70 < flipped < 130


def torchvisions(views, size, draws):
    """RandomResizedCrop as it is written there: one image, try after try."""
    for area, ratio in draws[: 2 * TRIES].reshape(TRIES, 2):
        area = (views.area[0] + area * (views.area[1] - views.area[0])) * np.prod(size)
        low, high = np.log(views.ratio)
        ratio = np.exp(low + ratio * (high - low))
        w, h = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < w <= size[1] and 0 < h <= size[0]:
            top = int(draws[-3] * (size[0] - h + 1))
            return top, int(draws[-2] * (size[1] - w + 1)), h, w
    if size[1] / size[0] < views.ratio[0]:
        w, h = size[1], round(size[1] / views.ratio[0])
    elif size[1] / size[0] > views.ratio[1]:
        w, h = round(size[0] * views.ratio[1]), size[0]
    else:
        w, h = size[1], size[0]
    return (size[0] - h) // 2, (size[1] - w) // 2, h, w


@pytest.mark.parametrize("size", [(32, 32), (200, 100), (20, 90), (7, 1)])
def test_parts_are_torchvisions(size):
    draws = np.random.default_rng(1).random((300, DRAWS))
    found = VIEWS.parts(size, draws)
    wanted = [torchvisions(VIEWS, size, row) for row in draws]
    assert np.array_equal(found, wanted)


def test_the_first_so_many(database):
    images = Images(database, most=20)
    assert len(images) == len(images.labels) == 20 and images.name(19) == "db:19"
    some = Images(database, ["c"], most=5)
    assert len(some) == 5 and some.name(4) == "db:14"
    assert np.array_equal(some[4], pixels()[14, ::-1].transpose(1, 2, 0))
    assert len(Images(database, most=1000)) == 50


def test_waits_while_another_training_reads(database, monkeypatch):
    with contextlib.closing(open_database(database)):  # somebody has it
        monkeypatch.setattr(images_module, "_PATIENCE", 2)
        naps = []
        monkeypatch.setattr(images_module.time, "sleep", naps.append)
        with pytest.raises(DatabaseInUse):
            Images(database)
        assert naps == [1, 1]
    holder = open_database(database)
    monkeypatch.setattr(images_module.time, "sleep", lambda _: holder.close())
    assert len(Images(database)) == 50


def test_errors_of_threads_are_seen(database):
    def broken(number):
        raise DecError("row 3 is no image")

    class Broken(Images):
        __getitem__ = staticmethod(broken)

    with pytest.raises(DecError, match="no image"):
        Feed(Broken(database), VIEWS).middles([0], np.empty((1, 3, 8, 8), np.float32))
