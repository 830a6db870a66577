"""What Pillow cannot read, or reads wrongly, is unsupported: neither damage nor ok."""

import io
import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest
from photos_samples import encoded, jpeg, picture
from PIL import Image, ImageCms
from tiff_samples import packed, tiff

from dec.photos.check import check
from dec.photos.load import BadPhoto, load_rgb

PLAIN = picture(1, 60, 40)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")


def written(tmp_path, data, name="photo"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def assert_unsupported(path, *words):
    with pytest.raises(BadPhoto) as error:
        load_rgb(path)
    assert error.value.reason == "unsupported", str(error.value)
    assert check(path, 10**6).status == "unsupported"
    for word in words:
        assert word in error.value.detail


TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8", "u8"]
# Samples, photometric interpretation, what the last sample is.
LAYOUTS = [
    (1, 0, None),
    (1, 1, None),
    (2, 1, 2),
    (3, 2, None),
    (4, 2, 0),
    (4, 2, 1),
    (4, 2, 2),
    (4, 5, None),
]


def as_a_viewer_shows(values, photometric, extra):
    """Samples from 0 to 1 as RGB from 0 to 255."""
    samples = values.shape[2]
    if photometric == 5:
        shown = (1 - values[..., :3]) * (1 - values[..., 3:])
    elif extra in (1, 2):
        colours, alpha = values[..., :-1], values[..., -1:]
        shown = (colours if extra == 1 else colours * alpha) + 1 - alpha
    else:
        shown = values[..., :3] if samples == 4 else values
    shown = 1 - shown if photometric == 0 else shown
    return 255 * np.broadcast_to(shown.clip(0, 1), (*values.shape[:2], 3))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("samples,photometric,extra", LAYOUTS)
def test_tiff_of_any_type_is_right_or_unsupported(
    tmp_path, dtype, samples, photometric, extra
):
    dtype = np.dtype(dtype)
    values = np.random.default_rng(0).random((9, 7, samples))
    values[0, 0] = 1
    if extra == 1:  # multiplied by alpha already
        values[..., :-1] *= values[..., -1:]
    wanted = as_a_viewer_shows(values, photometric, extra)
    top = 1 if dtype.kind == "f" else np.iinfo(dtype).max
    stored = (values * top).astype(dtype)
    read = 0
    for planar in (1, 2) if samples > 1 else (1,):
        for order in "<>":
            data = tiff(stored, photometric, planar=planar, order=order, extra=extra)
            path = written(tmp_path, data)
            try:
                found = np.asarray(load_rgb(path))
            except BadPhoto as error:
                assert error.reason == "unsupported", str(error)
                assert "TIFF" in error.detail or "raw mode" in error.detail
                continue
            # Rounding in every step of transparency and CMYK.
            assert np.abs(found - wanted).max() <= 3
            read += 1
    if dtype == "u1":
        assert read
    if dtype == "u2" and photometric in (1, 2) and samples != 2:
        assert read
    if (dtype, samples, photometric) == ("f4", 1, 1):
        assert read


def test_uint32_above_the_signed_range(tmp_path):
    ramp = np.linspace(0, 2**32 - 1, 512).astype(np.uint32).reshape(8, 64, 1)
    found = np.asarray(load_rgb(written(tmp_path, tiff(ramp, 1))))
    assert np.abs(found[..., :1] - ramp * (255 / (2**32 - 1))).max() <= 0.51


def test_12_bit_tiff(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (6, 8))
    bits = "".join(f"{value:012b}" for value in values.ravel())
    strip = int(bits, 2).to_bytes(len(bits) // 8)
    found = np.asarray(load_rgb(written(tmp_path, packed([strip], (6, 8, 1), 12))))
    assert np.abs(found[..., 0] - values * (255 / 4095)).max() <= 0.51


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_as_another_reader_sees_it(tmp_path, planar, compression, dtype):
    tifffile = pytest.importorskip("tifffile")
    rows = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (9, 7, 3))
    rows = rows.astype(dtype)
    path = tmp_path / "photo.tif"
    stored = (
        rows if planar == "contig" else np.ascontiguousarray(rows.transpose(2, 0, 1))
    )
    tifffile.imwrite(
        path, stored, photometric="rgb", planarconfig=planar, compression=compression
    )
    seen = tifffile.imread(path)
    seen = seen if planar == "contig" else seen.transpose(1, 2, 0)
    if (planar, compression, dtype) == ("separate", None, "u2"):
        assert_unsupported(path, "16 bits", "one plane after the other")
    else:
        scale = 255 / np.iinfo(dtype).max
        assert np.abs(np.asarray(load_rgb(path)) - seen * scale).max() <= 1


@pytest.mark.parametrize("code,word", [(34887, "LERC"), (34933, "PNG")])
def test_tiff_compression_that_is_not_read(tmp_path, code, word):
    data = packed([bytes(48)], (6, 8, 1), 8, compression=code)
    assert_unsupported(written(tmp_path, data), word)


def with_frame(data, marker, bits=None, components=None):
    """A JPEG with another kind of frame in its header."""
    at = data.index(b"\xff\xc0")
    new = bytearray(data)
    new[at + 1] = marker
    if bits:
        new[at + 4] = bits
    if components:
        new[at + 9] = components
    return bytes(new)


@pytest.mark.parametrize(
    "marker,bits,components,words",
    [
        (0xC0, 12, None, "JPEG of 12 bits"),
        (0xC1, 12, None, "JPEG of 12 bits"),
        (0xC3, None, None, "lossless JPEG"),
        (0xC5, None, None, "hierarchical JPEG"),
        (0xC0, None, 2, "2 components"),
    ],
)
def test_jpeg_that_is_not_read(tmp_path, marker, bits, components, words):
    data = with_frame(jpeg(1), marker, bits, components)
    assert_unsupported(written(tmp_path, data), words)


def test_jpeg_with_a_damaged_header_is_the_same_whatever_was_read_before(tmp_path):
    bad = written(tmp_path, with_frame(jpeg(1), 0xC0, bits=137), "bad.jpg")
    other = written(tmp_path, encoded(PLAIN, "WEBP"), "good.webp")
    script = (
        "import sys\nfrom dec.photos.check import check\n"
        "for name in sys.argv[1:]: print(check(name, 10**6)[:2])"
    )
    for names in ([bad], [other, bad]):
        result = subprocess.run(
            [sys.executable, "-c", script, *names],
            capture_output=True,
            text=True,
            check=True,
        )
        last = result.stdout.splitlines()[-1]
        assert last == "('corrupt', 'damaged header')"


def test_two_photos_in_one_jpeg(tmp_path):
    data = encoded(PLAIN, "MPO", save_all=True, append_images=[picture(2, 60, 40)])
    found = np.asarray(load_rgb(written(tmp_path, data))).astype(int)
    assert np.abs(found - np.asarray(PLAIN)).mean() < 6  # of JPEG


def test_jpeg_2000_of_16_bits(tmp_path):
    white = np.full((64, 64, 3), 65535, np.uint16)
    lossless = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
    data = cv2.imencode(".jp2", white, lossless)[1].tobytes()
    assert_unsupported(written(tmp_path, data), "16 bits")  # Pillow: black
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    path = written(tmp_path, cv2.imencode(".jp2", ramp, lossless)[1].tobytes())
    seen = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert np.abs(np.asarray(load_rgb(path))[..., 0] - seen / 257).max() <= 1


def test_psd_of_16_bits(tmp_path):
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 8, 8, 16, 3)
    data = head + bytes(4 + 4 + 4 + 2 + 8 * 8 * 6)
    assert_unsupported(written(tmp_path, data), "16 bits")


@pytest.mark.parametrize("most", [15, 255, 1023, 65535])
def test_pnm_of_any_depth(tmp_path, most):
    values = np.random.default_rng(0).integers(0, most + 1, (9, 7, 3))
    raw = values.astype(">u2" if most > 255 else "u1").tobytes()
    path = written(tmp_path, b"P6 7 9 %d\n" % most + raw)
    assert np.abs(np.asarray(load_rgb(path)) - values * (255 / most)).max() <= 1


def profile_of(linear, name="sRGB"):
    """The bytes of sRGB's profile, with a linear tone curve, under another name."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if linear:
        at = data.index(b"para")
        curve = struct.pack(">4s4xHxx5i", b"para", 3, 65536, 65536, 0, 65536, 0)
        data = data[:at] + curve + data[at + len(curve) :]
    old, new = ("sRGB".encode("utf-16-be"), name.encode("utf-16-be"))
    assert len(old) == len(new)
    return data.replace(old, new)


@pytest.mark.parametrize("name", ["sRGB", "abcd"])
@pytest.mark.parametrize("linear", [False, True])
def test_a_profile_is_what_it_says_not_its_name(tmp_path, name, linear):
    profile = profile_of(linear, name)
    said = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.profile_description
    assert name in said
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rows = np.stack([ramp, ramp[::-1], ramp.T], axis=2)
    data = encoded(Image.fromarray(rows), "PNG", icc_profile=profile)
    found = np.asarray(load_rgb(written(tmp_path, data)))
    if linear:
        light = rows / 255  # sRGB's curve, as IEC 61966-2-1 has it
        curved = np.where(
            light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
        )
        assert np.abs(found - 255 * curved).max() <= 1.5
    else:
        assert np.array_equal(found, rows)
