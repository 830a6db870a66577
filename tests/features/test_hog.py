"""features/: beside a float64 twin in NumPy, OpenCV, and what must hold by symmetry."""

import re
import threading

import cv2
import numpy as np
import pytest
from conftest import ROOT
from hog_twin import twin
from PIL import Image

import features.passes
from features import crcb_map, extract, hog, hog_picture

README = ROOT / "features/README.md"
# What a mirror image does to the 13 numbers of a cell.
ANGLES = [0, 8, 7, 6, 5, 4, 3, 2, 1]
LEFT_RIGHT = [*ANGLES, 11, 12, 9, 10]
UP_DOWN = [*ANGLES, 10, 9, 12, 11]


def random_image(*shape: int, dtype: type = np.uint8, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype is np.uint8:
        return rng.integers(0, 256, shape, np.uint8)
    return (rng.random(shape) * 255).astype(dtype)


def smooth_image(height: int, width: int) -> np.ndarray:
    return cv2.GaussianBlur(random_image(height, width, 3), (0, 0), 2)


@pytest.fixture
def many_threads(monkeypatch):
    """Threads even for images this small."""
    monkeypatch.setattr(features.passes, "_WORTH_A_THREAD", 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize(
    "shape",
    [
        (24, 24, 3),
        (96, 96, 3),
        (32, 48, 3),
        (48, 32, 3),
        (24, 160, 3),
        (27, 39, 3),
        (39, 31, 3),
        (120, 200, 3),
        (40, 56),
        (40, 56, 1),
    ],
)
def test_hog_is_the_twins(shape, dtype):
    image = random_image(*shape, dtype=dtype)
    ours = hog(image)
    assert ours.dtype == np.float64
    assert ours.shape == (shape[0] // 8 - 2, shape[1] // 8 - 2, 13)
    np.testing.assert_allclose(ours, twin(image), rtol=0, atol=1e-9)


SPECIAL = {
    "smooth": smooth_image(96, 96),
    "constant": np.full((32, 40, 3), 77, np.uint8),
    "black": np.zeros((24, 24), np.uint8),
    "chess": np.indices((64, 48)).sum(0) % 2 * np.uint8(255),
    "rows": np.repeat(np.arange(48, dtype=np.uint8)[:, np.newaxis], 40, axis=1),
    "columns": np.repeat(np.arange(40, dtype=np.uint8)[np.newaxis], 48, axis=0),
    "two-tone": random_image(32, 32, 3) // 128 * np.uint8(255),
    "faint": random_image(32, 32, 3, dtype=np.float64) * 1e-7,
    "vast": random_image(32, 32, 3, dtype=np.float64) * 1e70 - 1e71,
}


@pytest.mark.parametrize("image", SPECIAL.values(), ids=SPECIAL)
def test_hog_of_special_images_is_the_twins(image):
    np.testing.assert_allclose(hog(image), twin(image), rtol=0, atol=1e-9)


def test_orientations_are_the_angles():
    """Planes, whose gradient is (dx, dy) everywhere, up to the sign."""
    for dx in range(0, 256, 5):
        for dy in range(-255, 256, 17):
            if dx == dy == 0:
                continue
            x, y = np.arange(24), np.arange(24)[:, np.newaxis]
            bins = hog(dx / 2 * x + dy / 2 * y)[0, 0, :9]
            angle = np.degrees(np.arctan2(dy, dx)) if dx > 0 else 80
            assert np.flatnonzero(bins).tolist() == [round(angle / 20) % 9]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "1", "LA"])
def test_pil_images_keep_height_and_width_apart(mode):
    image = Image.fromarray(random_image(32, 56, 3)).convert(mode)
    same = np.asarray(image if mode == "L" else image.convert("RGB"))
    assert hog(image).shape == (2, 5, 13)
    assert np.array_equal(hog(image), hog(same))
    assert np.array_equal(extract(image), extract(same))


def test_arrays_are_read_where_they_lie():
    images = random_image(3, 40, 56, 3)
    expected = extract(images)
    planes = np.ascontiguousarray(images.transpose(0, 3, 2, 1))  # as STL-10's files
    padded = np.zeros((3, 50, 60, 4), np.uint8)
    padded[:, 5:45, 2:58, 1:] = images
    for view in (
        planes.transpose(0, 3, 2, 1),
        np.asfortranarray(images),
        np.ascontiguousarray(images[:, ::-1, ::-1, ::-1])[:, ::-1, ::-1, ::-1],
        padded[:, 5:45, 2:58, 1:],
    ):
        assert np.array_equal(extract(view), expected)
        assert features.pixels.batches(view)[0][0] is view
    images.flags.writeable = False
    assert np.array_equal(extract(images), expected)


@pytest.mark.parametrize("dtype", ["u2", "i8", "f2", ">f8", "<f4", ">i4", "f8"])
def test_other_types_of_pixels(dtype):
    image = random_image(32, 32, 3)
    assert np.array_equal(extract(image.astype(dtype)), extract(image))
    packed = np.zeros((32, 32, 3), [("skip", "u1"), ("value", dtype)])
    packed["value"] = image  # not aligned
    assert np.array_equal(extract(packed["value"]), extract(image))


def test_batches_lists_and_single_images_agree():
    images = random_image(5, 48, 32, 3)
    for function in (hog, crcb_map, extract):
        one_by_one = np.stack([function(image) for image in images])
        assert np.array_equal(function(images), one_by_one)
        assert np.array_equal(function(list(images)), one_by_one)
        pictures = tuple(Image.fromarray(image) for image in images)
        assert np.array_equal(function(pictures), one_by_one)
        assert function(images[:0]).shape == (0, *one_by_one.shape[1:])
    mixed = [images[0], images[1].astype(np.float64), Image.fromarray(images[2])]
    assert np.array_equal(extract(mixed), extract(images[:3]))


@pytest.mark.usefixtures("many_threads")
def test_the_number_of_threads_changes_nothing():
    images = random_image(37, 32, 40, 3)
    for function in (hog, crcb_map, extract):
        alone = function(images, threads=1)
        for threads in (None, 2, 3, 64):
            assert np.array_equal(function(images, threads=threads), alone)
            assert np.array_equal(function(list(images), threads=threads), alone)


def test_other_python_threads_run_meanwhile():
    image = np.zeros((2400, 3200, 3), np.float32)
    for _ in range(20):  # a busy machine may not run us just then
        worker = threading.Thread(target=extract, args=(image,))
        worker.start()
        steps = 0
        while worker.is_alive():
            steps += 1
        if steps > 1000:
            return
    pytest.fail("the interpreter stood still")


def test_mirror_images_have_mirrored_hogs():
    image = random_image(48, 64, 3, dtype=np.float64)
    expected = hog(image)
    np.testing.assert_allclose(
        hog(image[:, ::-1]), expected[:, ::-1, LEFT_RIGHT], rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(
        hog(image[::-1]), expected[::-1, :, UP_DOWN], rtol=0, atol=1e-9
    )


def test_brightness_and_sign_do_not_matter():
    image = random_image(48, 64, 3) // 2
    expected = hog(image)
    assert np.array_equal(hog(image + np.uint8(100)), expected)
    assert np.array_equal(hog(np.uint8(255) - image), expected)
    assert np.abs(hog(image * 2.0) - expected).max() < 1e-6  # but for the 1e-4


def test_numbers_stay_in_their_bounds():
    numbers = hog(random_image(8, 64, 64, 3))
    assert numbers.min() >= 0
    assert numbers[..., :9].max() <= 0.4
    assert numbers[..., 9:].max() <= 0.2357 * 9 * 0.2
    assert not hog(np.full((32, 32, 3), 200, np.uint8)).any()


def test_grey_is_three_equal_channels():
    grey = random_image(32, 48)
    assert np.array_equal(hog(grey), hog(np.stack([grey] * 3, axis=2)))
    assert np.array_equal(crcb_map(grey), np.full((8, 8, 2), 128.0))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((96, 96), (8, 8)),
        ((120, 200), (6, 10)),
        ((97, 131), (8, 8)),
        ((24, 200), (7, 3)),
        ((8, 8), (8, 8)),
        ((33, 25), (1, 1)),
    ],
)
def test_colour_map_is_opencvs(shape, size, dtype):
    image = random_image(*shape, 3, dtype=dtype)
    small = cv2.resize(
        image.astype(np.float64), size[::-1], interpolation=cv2.INTER_AREA
    )
    expected = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2YCrCb)
    ours = crcb_map(image, size)
    assert ours.shape == (*size, 2)
    # OpenCV computes in float32 and takes 0.5 for the middle, not 128 / 255.
    np.testing.assert_allclose(
        ours - 128, (expected[:, :, 1:] - 0.5) * 255, rtol=0, atol=2e-3
    )


def test_colour_map_of_uint8_is_opencvs_but_for_rounding():
    image = smooth_image(96, 96)
    small = cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA)
    expected = cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)[:, :, 1:]
    assert np.abs(crcb_map(image) - expected).max() < 1.5


def test_colour_map_knows_rows_from_columns_and_red_from_blue():
    image = np.zeros((60, 100, 3), np.uint8)
    image[:10, 90:, 0] = 255
    colours = crcb_map(image, (6, 10))
    changed = np.argwhere((colours != 128).any(2))
    assert changed.tolist() == [[0, 9]]
    np.testing.assert_allclose(
        colours[0, 9], [128 + 0.713 * 0.701 * 255, 128 - 0.564 * 0.299 * 255]
    )


def test_colour_map_of_an_image_smaller_than_it():
    image = random_image(2, 2, 3)
    expected = crcb_map(image, (2, 2)).repeat(3, 0).repeat(2, 1)
    np.testing.assert_allclose(crcb_map(image, (6, 4)), expected)


def test_extract_is_both_scaled_and_flattened():
    images = random_image(4, 96, 96, 3)
    rows = extract(images)
    assert rows.shape == (4, 1428)
    assert rows.dtype == np.float32
    gradients = (hog(images).reshape(4, -1) - 0.2) * 10
    colours = (crcb_map(images).reshape(4, -1) - 128) / 10
    expected = np.concatenate([gradients, colours], 1).astype(np.float32)
    assert np.array_equal(rows, expected)
    assert extract(images[0]).shape == (1428,)
    assert extract(random_image(120, 200, 3), (6, 10)).shape == (13 * 23 * 13 + 120,)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((23, 96, 3), np.uint8), "23 x 96.*three cells of 8 pixels"),
        (np.zeros((2, 96, 16, 3)), "96 x 16.*too small"),
        (np.zeros((0, 0, 3), np.uint8), "0 x 0.*too small"),
        (Image.new("RGB", (20, 90)), "90 x 20.*too small"),
        (np.zeros((3, 96, 96), np.uint8), r"channels come last.*\(1, 2, 0\)"),
        (np.zeros((5, 3, 96, 96), np.uint8), r"channels come last.*\(0, 2, 3, 1\)"),
        (np.zeros((96, 96, 4), np.uint8), "alpha"),
        (np.zeros((9, 96, 96), np.uint8), "newaxis"),
        (np.zeros((9, 96, 96, 2), np.uint8), "9 x 96 x 96 x 2"),
        (np.zeros(96, np.uint8), "not 96"),
        (np.uint8(4), "a uint8, not a NumPy array"),
        (np.zeros((32, 32), complex), "complex128"),
        (np.zeros((32, 32), bool), "bool"),
        (np.full((32, 32), None), "object"),
        ("photo.jpg", "a str, not a NumPy array or a PIL image"),
        ([], "empty"),
        ([[1, 2], [3, 4]], "image 0 is a list"),
        ([np.zeros((32, 32, 3)), np.zeros((32, 40, 3))], "image 1 is 32 x 40 x 3"),
        (Image.new("I", (32, 32)), "mode I.*8 bits"),
        (Image.new("F", (32, 32)), "mode F.*8 bits"),
    ],
)
def test_what_cannot_be_read_is_named(images, message):
    for function in (hog, extract):
        with pytest.raises(ValueError, match=message):
            function(images)


@pytest.mark.usefixtures("many_threads")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("place", [(0, 0, 0), (31, 39, 2), (20, 20, 1)])
def test_the_first_image_with_nan_is_named(value, place):
    images = np.zeros((40, 32, 40, 3))
    images[(17, *place)] = images[(30, *place)] = value
    for function in (hog, crcb_map, extract):
        with pytest.raises(ValueError, match="^image 17 has pixels that are NaN, inf"):
            function(images)
        with pytest.raises(ValueError, match="^image 17 has pixels that are NaN, inf"):
            function(list(images))


@pytest.mark.parametrize("value", [-1.0, 255.5])
def test_colours_outside_their_scale(value):
    image = np.full((32, 32, 3), value)
    assert not hog(image).any()
    for function in (crcb_map, extract):
        with pytest.raises(ValueError, match="image 0 has pixels outside 0..255"):
            function(image)


@pytest.mark.parametrize("size", [(0, 8), (8,), (8, 8, 8), 8, (2.5, 2), ("a", "b")])
def test_impossible_sizes_of_a_map(size):
    with pytest.raises(ValueError, match=r"\(rows, columns\), both 1 or more"):
        crcb_map(random_image(32, 32, 3), size)


def test_impossible_numbers_of_threads():
    with pytest.raises(ValueError, match="threads must be 1 or more, not 0"):
        hog(random_image(32, 32, 3), threads=0)


def test_picture_draws_lines_along_the_edges():
    edge = np.zeros((40, 40), np.uint8)
    edge[:, 20:] = 255  # an upright edge in the middle
    upright = hog_picture(hog(edge))
    assert upright.shape == (60, 60)
    assert upright.dtype == np.uint8
    assert upright.max() == 255
    assert upright[20:40, 29:31].min() > 200  # the middle cell's line
    assert upright[20:40, 22:27].max() == 0
    lying = hog_picture(hog(random_image(24, 24)) * [0, 0, 0, 0, 1, 1, *[0] * 7], 15)
    assert lying.shape == (15, 15)
    assert lying[6:9, 1:-1].sum() > 0.8 * lying.sum()


def test_picture_of_nothing_is_black():
    assert not hog_picture(np.zeros((2, 3, 13))).any()
    assert hog_picture(np.zeros((2, 3, 13)), cell=4).shape == (8, 12)


@pytest.mark.parametrize(
    ("hog_array", "cell", "message"),
    [
        (np.zeros((5, 10, 10, 13)), 20, "one image's HOG.*not 5 x 10 x 10 x 13"),
        (np.zeros((10, 10, 31)), 20, "rows x columns x 13"),
        (np.zeros((0, 10, 13)), 20, "not 0 x 10 x 13"),
        (np.full((2, 2, 13), np.nan), 20, "NaN"),
        (np.zeros((2, 2, 13)), 0, "1 pixel or more"),
    ],
)
def test_what_cannot_be_drawn(hog_array, cell, message):
    with pytest.raises(ValueError, match=message):
        hog_picture(hog_array, cell)


def test_the_readmes_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(random_image(120, 200, 3)).save("photo.jpg")
    [code] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert Image.open("hog.png").size == (460, 260)
    assert names["rows"].shape == (64, 1428)
