"""Every kind of image file comes out as the same 8-bit RGB that a viewer shows."""

import io

import numpy as np
import pytest
from photos_samples import NOT_UTF8, broken_files, encoded, jpeg, picture
from PIL import Image, ImageCms

from dec.photos.load import BadPhoto, load_rgb, photo_size

PLAIN = picture(1, 60, 40)
# Pillow's; pytest shows them whatever the module says.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")


def loaded(tmp_path, data, name="photo"):
    path = tmp_path / name
    path.write_bytes(data)
    image = load_rgb(path)
    assert image.mode == "RGB"
    assert photo_size(path) == image.size
    return np.asarray(image)


def assert_like(values, image, tolerance=0.0):
    wanted = np.asarray(image.convert("RGB"))
    assert values.shape == wanted.shape
    assert values.dtype == np.uint8
    assert np.abs(values.astype(int) - wanted).mean() <= tolerance


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless(tmp_path, kind):
    assert_like(loaded(tmp_path, encoded(PLAIN, kind)), PLAIN)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "JPEG2000"])
def test_lossy(tmp_path, kind):
    assert_like(loaded(tmp_path, encoded(PLAIN, kind, quality=95)), PLAIN, 4)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path, kind, orientation):
    # What has to be done to an upright picture so that undoing it is right.
    turns = [
        None,
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_90,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_270,
    ]
    turn = turns[orientation - 1]
    stored = PLAIN if turn is None else PLAIN.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    data = encoded(stored, kind, exif=exif, **options)
    assert_like(loaded(tmp_path, data), PLAIN, 4)


def test_damaged_exif_turns_nothing(tmp_path):
    data = jpeg(1)
    block = b"Exif\0\0" + b"II*\0\xff\xff\xff\xff" + bytes(20)
    size = (len(block) + 2).to_bytes(2)
    values = loaded(tmp_path, data[:2] + b"\xff\xe1" + size + block + data[2:])
    assert values.shape == (36, 48, 3)


def test_grey_and_black_and_white(tmp_path):
    grey = PLAIN.convert("L")
    assert_like(loaded(tmp_path, encoded(grey, "PNG")), grey)
    assert_like(loaded(tmp_path, encoded(grey, "JPEG", quality=95)), grey, 3)
    bits = PLAIN.convert("1")
    assert_like(loaded(tmp_path, encoded(bits, "PNG")), bits)


def test_cmyk(tmp_path):
    cmyk = PLAIN.convert("CMYK")
    assert_like(loaded(tmp_path, encoded(cmyk, "JPEG", quality=95)), PLAIN, 5)
    assert_like(loaded(tmp_path, encoded(cmyk, "TIFF")), PLAIN, 1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey(tmp_path, kind):
    ramp = np.linspace(0, 65535, 64 * 8).astype(np.uint16).reshape(8, 64)
    values = loaded(tmp_path, encoded(Image.fromarray(ramp), kind))
    assert np.abs(values[:, :, 0] - ramp / 257).max() <= 0.51
    assert (values == values[:, :, :1]).all()


def test_16_bit_colour_png(tmp_path):
    import cv2

    ramp = np.random.default_rng(0).integers(0, 65536, (9, 7, 3)).astype(np.uint16)
    data = cv2.imencode(".png", ramp[:, :, ::-1])[1].tobytes()
    assert np.abs(loaded(tmp_path, data) - ramp / 257).max() <= 1


def test_float_and_32_bit(tmp_path):
    ramp = np.linspace(0, 1, 512, dtype=np.float32).reshape(8, 64)
    values = loaded(tmp_path, encoded(Image.fromarray(ramp), "TIFF"))
    assert np.abs(values[:, :, 0] - ramp * 255).max() <= 0.51
    ramp[0, 0] = np.nan
    loaded(tmp_path, encoded(Image.fromarray(ramp), "TIFF"))
    wide = np.arange(512, dtype=np.int32).reshape(8, 64) * 1000
    values = loaded(tmp_path, encoded(Image.fromarray(wide), "TIFF"))
    assert values.min() == 0
    assert values.max() == 255


def test_palette(tmp_path):
    palette = PLAIN.quantize(32)
    assert_like(loaded(tmp_path, encoded(palette, "PNG")), palette)
    assert_like(loaded(tmp_path, encoded(palette, "GIF")), palette)


def test_transparent_is_white(tmp_path):
    image = PLAIN.copy()
    image.putalpha(Image.linear_gradient("L").resize(PLAIN.size))
    white = Image.new("RGBA", PLAIN.size, "white")
    wanted = Image.alpha_composite(white, image)
    assert_like(loaded(tmp_path, encoded(image, "PNG")), wanted)
    grey = image.convert("LA")
    wanted = Image.alpha_composite(white, grey.convert("RGBA"))
    assert_like(loaded(tmp_path, encoded(grey, "PNG")), wanted, 0.5)


def test_transparent_colour_of_a_palette(tmp_path):
    image = Image.new("P", (4, 2), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 1)
    values = loaded(tmp_path, encoded(image, "GIF", transparency=0))
    assert values[0, 0].tolist() == [200, 100, 50]
    assert values[1, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_picture_of_several(tmp_path, kind):
    second = picture(2, 60, 40)
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(PLAIN, kind, save_all=True, append_images=[second], **options)
    assert_like(loaded(tmp_path, data), PLAIN, 12 if kind == "GIF" else 0)


def test_colour_profile(tmp_path):
    # A profile whose "red" is what sRGB calls blue, made from sRGB's own.
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    profile = bytearray(srgb.tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    at = profile.index("sRGB".encode("utf-16-be"))
    profile[at : at + 8] = "Test".encode("utf-16-be")
    red_picture = Image.new("RGB", (8, 8), (255, 0, 0))
    data = encoded(red_picture, "PNG", icc_profile=bytes(profile))
    values = loaded(tmp_path, data)
    assert values[0, 0, 2] > 250
    assert values[0, 0, 0] < 5


def test_damaged_colour_profile(tmp_path):
    assert_like(loaded(tmp_path, encoded(PLAIN, "PNG", icc_profile=b"none")), PLAIN)


def test_quick_and_reduced(tmp_path):
    path = tmp_path / "large.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    path.write_bytes(encoded(picture(3, 1600, 800), exif=exif))
    small = load_rgb(path, at_least=(150, 300))
    assert small.size == (200, 400)
    assert load_rgb(path).size == photo_size(path) == (800, 1600)
    near = load_rgb(path).resize(small.size, Image.Resampling.LANCZOS)
    assert_like(np.asarray(small), near, 2)


def test_name_says_nothing(tmp_path):
    assert_like(loaded(tmp_path, encoded(PLAIN, "PNG"), "photo.jpg"), PLAIN)
    assert_like(loaded(tmp_path, encoded(PLAIN, "PNG"), NOT_UTF8), PLAIN)


def test_broken_ones_are_told_apart(tmp_path):
    # What only a strict decoder sees, and wrong names, do not keep a photo out here.
    loose = ("zeros-inside.jpg", "cut-and-ended.jpg")
    for name, (reason, data) in broken_files().items():
        path = tmp_path / name
        path.write_bytes(data)
        if reason == "wrong-extension" or name in loose:
            load_rgb(path)
            continue
        with pytest.raises(BadPhoto) as error:
            load_rgb(path)
        assert (name, error.value.reason) == (name, reason)
        assert str(path) in str(error.value)


def test_limit_of_pixels(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(PLAIN, "PNG"))
    with pytest.raises(BadPhoto, match="too-large: 60 x 40 is more than 2,399 pixels"):
        load_rgb(path, max_pixels=2399)
    assert load_rgb(path, max_pixels=2400).size == (60, 40)


def test_200_megapixels(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(Image.new("1", (20_000, 10_000)), "PNG"))
    with pytest.raises(BadPhoto, match="too-large: 20000 x 10000 is more than"):
        load_rgb(path)
    assert photo_size(path, max_pixels=200_000_000) == (20_000, 10_000)


def test_nothing_there(tmp_path):
    with pytest.raises(BadPhoto, match="missing: no such file"):
        load_rgb(tmp_path / "none.jpg")
    with pytest.raises(BadPhoto, match="not-an-image: a folder"):
        load_rgb(tmp_path)


def test_any_byte_may_be_wrong(tmp_path):
    """Whatever a damaged file holds: an image or BadPhoto, no other exception."""
    rng = np.random.default_rng(5)
    path = tmp_path / "photo"
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "PPM", "JPEG2000"):
        data = encoded(PLAIN.quantize(16) if kind == "GIF" else PLAIN, kind)
        for _ in range(60):
            bad = bytearray(data)
            for at in rng.integers(0, min(len(bad), 400), rng.integers(1, 6)):
                bad[at] = rng.integers(256)
            path.write_bytes(bad[: rng.integers(10, len(bad) + 1)])
            for load in (load_rgb, photo_size):
                try:
                    load(path, 1_000_000)
                except BadPhoto as error:
                    assert "\n" not in str(error)


def test_bad_photo_travels_between_processes():
    import pickle

    error = pickle.loads(pickle.dumps(BadPhoto("a.jpg", "empty", "0 bytes", "JPEG")))
    assert str(error) == "a.jpg: empty: 0 bytes"
    assert (error.reason, error.kind) == ("empty", "JPEG")


def test_source_stays_untouched(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(1))
    before = path.stat()
    load_rgb(path)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert io.BytesIO(path.read_bytes()).getvalue() == jpeg(1)
