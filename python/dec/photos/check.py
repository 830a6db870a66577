"""Classify one file: is it a photo that can be used, and if not, why."""

import hashlib
import io
import mimetypes
import os
from pathlib import Path
from typing import NamedTuple

import imagehash
import numpy as np
import simplejpeg
from PIL import Image

from dec.photos import kinds
from dec.photos.load import MAX_BYTES, BadPhoto, decode, opened

VERSION = 2  # raise it when the same file may now get another answer
_SUFFIXES = {s for kind in kinds.ALL for s in kind.suffixes} | set(
    mimetypes.MimeTypes().types_map[True]
)
_FLAT = 2.0  # grey levels of standard deviation: below, hashes see only noise


class Checked(NamedTuple):
    """What `check` found; empty, 0 or None is what does not apply.

    width, height: pixels, as a viewer shows it. phash, dhash: 64-bit perceptual
    hashes of usable photos that are not of one flat colour.
    """

    status: str
    detail: str = ""
    kind: str = ""
    width: int = 0
    height: int = 0
    bytes: int = 0
    sha256: str = ""
    phash: int | None = None
    dhash: int | None = None


def check(path: str | Path, max_pixels: int) -> Checked:
    """Reads and decodes the whole file. Never raises for what is in it."""
    size = 0
    digest = ""
    try:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            # A file of absurd size is refused by its size, in decode.
            if 0 < size <= MAX_BYTES:
                data = file.read()
                digest = hashlib.sha256(data).hexdigest()
                file = io.BytesIO(data)
            image, kind = decode(file, path, max_pixels)
            if kind is kinds.JPEG:
                decode_strictly(data, path)
    except BadPhoto as bad:
        return Checked(bad.reason, bad.detail, bad.kind, 0, 0, size, digest)
    except OSError as error:
        return Checked("unreadable", str(error.strerror), bytes=size)
    wrong = _wrong_suffix(path, kind)
    return Checked(
        "wrong-extension" if wrong else "ok",
        wrong,
        kind.name,
        *image.size,
        size,
        digest,
        *_hashes(image),
    )


def _wrong_suffix(path, kind):
    """In words, that the name promises another format than `kind`; or nothing.

    A suffix that stands for no format at all (photo.2017) promises nothing.
    """
    suffix = Path(os.fspath(path)).suffix.lower()
    if suffix in kind.suffixes or suffix not in _SUFFIXES:
        return ""
    return f"{kind.name} under the name of {suffix}"


def decode_strictly(data, path):
    """Raises BadPhoto for the damage inside a JPEG that Pillow paints over."""
    try:
        # Grey and at an eighth: all that counts is reading every coefficient.
        simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, strict=True)
    except ValueError as error:
        text = str(error)
        # Many cameras fill up the end of a photo with bytes that mean nothing.
        if "extraneous bytes before marker 0xd9" in text:
            return
        if "Corrupt JPEG data" in text or "Premature end" in text:
            early = kinds.ends_early(data, kinds.JPEG)
            reason = "truncated" if early else "corrupt"
            raise BadPhoto(path, reason, text, kinds.JPEG.name) from None
        # What this decoder does not know, Pillow has already decoded.


def _hashes(image):
    grey = image.convert("L")
    # Large steps by quick averages first; the hashes go on to 32 and 9 pixels.
    grey.thumbnail((256, 256), Image.Resampling.BOX)
    if np.asarray(grey).std() < _FLAT:
        return None, None
    return _number(imagehash.phash(grey)), _number(imagehash.dhash(grey))


def _number(hashed):
    return int.from_bytes(np.packbits(hashed.hash).tobytes())
