"""Open a photo of any kind as 8-bit RGB: by its content, whatever its name says."""

import contextlib
import errno
import functools
import io
import itertools
import os
import re
import stat
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps

from dec.base.errors import DecError
from dec.base.files import printable
from dec.photos import kinds, limits
from dec.photos.kinds import Kind

MAX_PIXELS = 100_000_000  # 300 MB as RGB
MAX_BYTES = 1 << 29
_SAME = 2  # steps of 256 by which profiles of the same colours differ
_SRGB = ImageCms.createProfile("sRGB")
_COLOURS = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}

# Pillow warns of odd metadata and large images; we look at what counts ourselves.
warnings.filterwarnings("ignore", module=r"PIL\.")


class BadPhoto(DecError):
    """A photo that cannot be used.

    reason: missing, unreadable (the disk or the rights), empty, truncated, corrupt,
    not-an-image, unsupported or too-large. detail: more about it, one line. kind: the
    format, where it is known.
    """

    def __init__(self, path, reason: str, detail: str, kind: str = "") -> None:
        super().__init__(path, reason, detail, kind)
        self.reason = reason
        self.detail = detail
        self.kind = kind

    def __str__(self) -> str:
        return f"{printable(self.args[0])}: {self.reason}: {self.detail}"


def load_rgb(
    path: str | Path,
    max_pixels: int = MAX_PIXELS,
    at_least: tuple[int, int] | None = None,
) -> Image.Image:
    """The photo in `path` as a Pillow image of mode RGB, as a viewer shows it.

    Turned as its EXIF data say, on white where it is transparent, the first picture
    where there are several, colours from its colour profile to sRGB, 16 bits scaled
    to 8. `np.asarray(load_rgb(path))` is height x width x 3, uint8.

    at_least: (width, height) in pixels; a larger JPEG may come reduced (by 2, 4 or 8,
    never below these), which is much quicker.

    Raises BadPhoto, also for photos of more than `max_pixels` pixels.
    """
    with opened(path) as file:
        return decode(file, path, max_pixels, at_least)[0]


def photo_size(path: str | Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height that `load_rgb` would give, from the header alone.

    Raises BadPhoto. What is damaged behind its header is not noticed.
    """
    with opened(path) as file:
        image, kind = _open(file, path, max_pixels)
        with image:
            return _turned(image.size, image, kind)


@contextlib.contextmanager
def opened(path: str | Path):
    """The regular file `path`, open for reading in binary; BadPhoto if it is none."""
    try:
        # A named pipe would block in open(), were it not for this.
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            what = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe"}
            words = what.get(stat.S_IFMT(mode), "a device or socket")
            raise BadPhoto(path, "not-an-image", words)
        file = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        link = os.path.islink(path)
        words = "a link to a file that is not there" if link else "no such file"
        raise BadPhoto(path, "missing", words) from None
    except OSError as error:
        raise BadPhoto(path, "unreadable", error.strerror) from error
    with file:
        yield file


def decode(
    file: BinaryIO,
    path: str | Path,
    max_pixels: int = MAX_PIXELS,
    at_least: tuple[int, int] | None = None,
) -> tuple[Image.Image, Kind]:
    """`load_rgb` of an open file; with the image its format. path: for messages."""
    image, kind = _open(file, path, max_pixels)
    with image:
        if at_least and kind is kinds.JPEG:
            turned = _turned((1, 2), image, kind) == (2, 1)
            image.draft(None, at_least[::-1] if turned else at_least)
        try:
            image.load()
            with contextlib.suppress(Exception):  # a damaged EXIF block turns nothing
                ImageOps.exif_transpose(image, in_place=True)
            return _rgb(image), kind
        except Exception as error:
            raise _bad(error, file, path, kind) from error


def _open(file, path, max_pixels):
    """The header, by Pillow, as (image, kind)."""
    # Pillow's own limit guards what it decodes on the way (previews, icons).
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        head = file.read(kinds.HEAD)
        size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise BadPhoto(path, "unreadable", error.strerror) from error
    kind = kinds.sniff(head)
    name = kind.name if kind else ""
    if size == 0:
        raise BadPhoto(path, "empty", "0 bytes")
    if kind is None:
        suffix = Path(os.fspath(path)).suffix.lower()
        if suffix in kinds.UNREAD_SUFFIXES:
            raise BadPhoto(path, "unsupported", f"no reader for {suffix} files")
        raise BadPhoto(path, "not-an-image", kinds.describe(head))
    if not kind.pillow:
        raise BadPhoto(path, "unsupported", f"no reader for {name}", name)
    if size > MAX_BYTES:
        raise BadPhoto(path, "too-large", f"{size:,} bytes", name)
    try:
        words = limits.unread(file, kind, refused=False)
        if words:
            raise BadPhoto(path, "unsupported", words, name)
        file.seek(0)
        image = Image.open(file, formats=kind.pillow)
    except Exception as error:
        raise _bad(error, file, path, kind) from error
    width, height = image.size
    if width * height > max_pixels:
        words = f"{width} x {height} is more than {max_pixels:,} pixels"
        raise BadPhoto(path, "too-large", words, name)
    return image, kind


def _bad(error: Exception, file: BinaryIO, path: str | Path, kind: Kind) -> BadPhoto:
    """What an exception of Pillow's says about the file that it came from."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, BadPhoto):
        return error
    if isinstance(error, OSError) and error.errno in (errno.EIO, errno.ESTALE):
        return BadPhoto(path, "unreadable", error.strerror, kind.name)
    if isinstance(error, Image.UnidentifiedImageError):
        text = "damaged header"
        if words := limits.unread(file, kind, refused=True):
            return BadPhoto(path, "unsupported", words, kind.name)
    if isinstance(error, (Image.DecompressionBombError, MemoryError)) or (
        "too large" in text
    ):
        reason = "too-large"
    elif isinstance(error, NotImplementedError) or re.search(
        "not supported|unsupported|unknown raw mode", text, re.IGNORECASE
    ):
        reason = "unsupported"
    else:
        file.seek(0)
        early = kinds.ends_early(file.read(), kind)
        if early is None:
            early = isinstance(error, EOFError) or "truncated" in text.lower()
        reason = "truncated" if early else "corrupt"
        if not early and "truncated" in text:
            text = "damaged image data"
    return BadPhoto(path, reason, text, kind.name)


def _turned(size, image, kind):
    """`size` as it is after turning; Pillow turns TIFF itself."""
    orientation = None
    if kind is not kinds.TIFF:
        with contextlib.suppress(Exception):
            orientation = image.getexif().get(0x0112)
    return size[::-1] if orientation in (5, 6, 7, 8) else size


def _rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        image = _eight_bits(image)
    if image.mode == "PA" or image.mode[-1] in "Aa" or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    elif image.mode not in _COLOURS:  # 1, P, YCbCr, HSV, RGBX
        image = image.convert("RGB")
    image = _managed(image, profile) or image
    return image if image.mode == "RGB" else image.convert("RGB")


def _managed(image, profile):
    """The image in sRGB by its colour profile; None without a profile that fits."""
    if image.mode == "LAB":
        source = ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    if not profile or _is_srgb(profile, image.mode):
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _COLOURS[image.mode]:
            return None
        return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # damaged profiles are not worth losing a photo


@functools.lru_cache(maxsize=64)
def _is_srgb(profile, mode):
    """Whether a profile of RGB leaves the colours of sRGB as they are.

    By what it does to them: profiles of linear and other colours are called sRGB too.
    """
    if mode != "RGB":
        return False
    shades = np.arange(256, dtype=np.uint8)[:, None]
    # From black to white, to each of the primaries, and to their mixtures.
    ways = np.array(list(itertools.product((0, 1), repeat=3))[1:], np.uint8)
    probe = Image.fromarray(shades[:, :, None] * ways[None])
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        seen = ImageCms.profileToProfile(probe, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False
    apart = np.asarray(seen).astype(int) - np.asarray(probe)
    return np.abs(apart).max() <= _SAME


def _eight_bits(image):
    """Grey values of more than 8 bits, integer or float, as mode L."""
    values = np.asarray(image)
    bits, signed = _tiff_type(image)
    top = 4095.0 if bits == 12 else 65535.0
    if not image.mode.startswith("I;"):
        if bits == 32 and image.mode == "I" and not signed:
            values = values.view(np.uint32)  # which Pillow does not know
        values = np.nan_to_num(values, posinf=0, neginf=0)
        largest = float(values.max(initial=0))
        steps = (1.0,) if image.mode == "F" else ()
        most = 32767.0 if bits == 16 and signed else 65535.0
        # The smallest of the usual ranges that holds the values.
        top = next((t for t in (*steps, 255.0, most) if largest <= t), largest)
    scaled = values.astype(np.float32)
    scaled *= 255 / top
    scaled += 0.5
    return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8), "L")


def _tiff_type(image):
    """Bits of a value, and whether it is signed; 0 where it is no TIFF."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(258, (0,))[0], tags.get(339, (1,))[0] == 2
