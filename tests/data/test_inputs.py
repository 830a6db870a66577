"""New rows from images and idx files: by what they hold, the same in any container."""

import gzip
import struct

import cv2
import numpy as np
import pytest
from photos_samples import broken_files, encoded
from PIL import Image
from tiff_samples import tiff

from dec.base.errors import DecError
from dec.data.inputs import Preparation, read_rows

FACTS = {"shape": [784, 1, 1], "scale": 0.02, "image": [28, 28]}


def digit():
    """A seven, white on black, with grey edges."""
    pixels = np.zeros((28, 28), np.uint8)
    cv2.polylines(pixels, [np.array([[6, 6], [21, 6], [12, 23]])], False, 255, 2, 16)
    assert 0 < pixels[pixels > 0].min() < 128
    return pixels


PIXELS = digit()
WANTED = (PIXELS.reshape(784) * 0.02).astype(np.float32)


def row_of(path, facts=FACTS):
    """The one row that is made of a file."""
    ((names, rows),) = read_rows(path, Preparation(facts))
    assert names == [str(path)]
    return rows[0]


def written(tmp_path, data, name="digit"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def idx(array, code):
    head = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return head + array.tobytes()


GREY = Image.fromarray(PIXELS)
WIDE = PIXELS.astype(np.uint16) * 257
ONE = (PIXELS / 255)[:, :, None]


def exactly():
    """Files that hold the very same pixels."""
    turned = Image.Exif()
    turned[0x0112] = 6
    lying = GREY.transpose(Image.Transpose.ROTATE_90)
    see_through = Image.merge("LA", (GREY, Image.new("L", GREY.size, 255)))
    cv = {
        f"16 bits {end}": cv2.imencode(end, WIDE)[1].tobytes()
        for end in (".png", ".tiff", ".pgm")
    }
    return {
        "png": encoded(GREY, "PNG"),
        "colours": encoded(GREY.convert("RGB"), "PNG"),
        "palette": encoded(GREY.convert("P"), "PNG"),
        "gif": encoded(GREY, "GIF"),
        "bmp": encoded(GREY, "BMP"),
        "pgm": encoded(GREY, "PPM"),
        "ico": encoded(GREY.convert("RGBA"), "ICO", sizes=[(28, 28)]),
        "jp2": encoded(GREY, "JPEG2000"),
        "webp": encoded(GREY.convert("RGB"), "WEBP", lossless=True),
        "alpha": encoded(see_through, "PNG"),
        "turned": encoded(lying, "PNG", exif=turned),
        "uint32": tiff((WIDE.astype(np.uint32) * 65537)[:, :, None], 1),
        "float": tiff(ONE.astype(np.float32), 1),
        "float to 255": tiff(PIXELS[:, :, None].astype(np.float32), 1),
        **cv,
    }


@pytest.mark.parametrize("kind", exactly())
def test_a_digit_is_the_same_in_any_container(tmp_path, kind):
    assert np.array_equal(row_of(written(tmp_path, exactly()[kind])), WANTED)
    # Whatever the name says.
    for name in ("digit.csv", "digit.idx", "digit.npy", "digit.gz"):
        path = written(tmp_path, exactly()[kind], name)
        assert np.array_equal(row_of(path), WANTED)


@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
def test_lossy_and_turned(tmp_path, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = GREY.transpose(Image.Transpose.ROTATE_90).convert("RGB")
    for image, options in ((GREY.convert("RGB"), {}), (lying, {"exif": exif})):
        row = row_of(written(tmp_path, encoded(image, kind, quality=98, **options)))
        assert np.abs(row - WANTED).mean() < 0.02 * 4


def test_ink_on_nothing_is_ink_on_white(tmp_path):
    ink = Image.new("RGBA", (28, 28), (0, 0, 0, 0))
    ink.putalpha(GREY)
    row = row_of(written(tmp_path, encoded(ink, "PNG")))
    assert np.array_equal(row, ((255 - PIXELS.reshape(784)) * 0.02).astype(np.float32))


def test_grey_png_of_every_value_as_it_is(tmp_path):
    values = np.arange(256, dtype=np.uint8).repeat(4)[:784].reshape(28, 28)
    row = row_of(written(tmp_path, encoded(Image.fromarray(values), "PNG")))
    assert np.array_equal(row, (values.reshape(784) * 0.02).astype(np.float32))


def test_images_in_colours(tmp_path):
    facts = {"shape": [27, 1, 1], "scale": 0.5, "image": [3, 3, 3]}
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    path = written(tmp_path, encoded(Image.fromarray(pixels), "PNG"))
    assert np.array_equal(row_of(path, facts), pixels.reshape(27) * np.float32(0.5))


@pytest.mark.parametrize("name", broken_files())
def test_no_image_is_a_clear_error(tmp_path, name):
    reason, data = broken_files()[name]
    painted_over = ("zeros-inside.jpg", "cut-and-ended.jpg")
    path = written(tmp_path, data, name)
    if reason == "wrong-extension" or name in painted_over:
        row_of(path)
        return
    with pytest.raises(DecError, match=name.replace(".", r"\.")):
        list(read_rows(path, Preparation(FACTS)))


@pytest.mark.parametrize("data", [encoded(GREY, "AVIF"), encoded(GREY, "JPEG2000")])
def test_images_for_a_run_of_none(tmp_path, data):
    path = written(tmp_path, data)
    with pytest.raises(DecError, match="not trained on images"):
        list(read_rows(path, Preparation({"shape": [784, 1, 1]})))


@pytest.mark.parametrize("suffix", ["", ".png", ".csv"])
@pytest.mark.parametrize("code,dtype", [(8, "u1"), (0x0D, ">f4"), (0x0E, ">f8")])
def test_idx_plain_and_packed(tmp_path, suffix, code, dtype):
    rows = np.random.default_rng(0).integers(0, 256, (1500, 28, 28)).astype(dtype)
    data = idx(rows, code)
    found = []
    for raw in (data, gzip.compress(data, 1)):
        path = written(tmp_path, raw, f"rows{suffix}")
        blocks = list(read_rows(path, Preparation(FACTS)))
        assert blocks[-1][0][-1] == f"{path}:1499"
        found.append(np.concatenate([block for _, block in blocks]))
    assert np.array_equal(found[0], found[1])
    wanted = (rows.reshape(1500, 784).astype(float) * 0.02).astype(np.float32)
    assert np.array_equal(found[0], wanted)


def test_a_table_whose_columns_are_called_like_images(tmp_path):
    path = written(tmp_path, b"P1\tP2\n1\t2\n3\t4\n", "x.tsv")
    ((_, rows),) = read_rows(path, Preparation({"shape": [2, 1, 1]}))
    assert rows.tolist() == [[1, 2], [3, 4]]
