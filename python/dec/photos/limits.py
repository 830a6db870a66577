"""What image formats allow, and Pillow does not read, or reads wrongly.

Pillow calls most of it damage, and some of it comes out as a picture of other values.
The headers tell, so this looks there.
"""

import contextlib
import functools
import os
import struct
from typing import BinaryIO

from PIL import TiffImagePlugin

from dec.photos import kinds
from dec.photos.kinds import Kind

_SIDES, _BITS, _COMPRESSION, _PHOTOMETRIC = (256, 257), 258, 259, 262  # TIFF's tags
_SAMPLES, _PLANAR, _FORMAT = 277, 284, 339
_FORMATS = {1: "", 2: "signed ", 3: "float ", 5: "complex ", 6: "complex "}
_DEPTHS = {1, 2, 4, 8, 10, 12, 14, 16, 24, 32, 64, 128}
_COMPRESSIONS = {  # others than Pillow's own; any other number is damage
    2: "CCITT",
    6: "old JPEG",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "DNG's JPEG",
    34933: "PNG",
    34934: "JPEG XR",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_PSD_MODES = {  # that Pillow reads, as (colours, bits)
    *((0, 1), (0, 8), (1, 8), (2, 8), (3, 8), (4, 8), (7, 8), (8, 8), (9, 8))
}


def unread(file: BinaryIO, kind: Kind, refused: bool) -> str:
    """What this image has that is not read here, in words; or nothing.

    refused: Pillow has called the header damaged. Looks at the header only, and takes
    no damage for such a thing. Leaves `file` wherever it stands then.
    """
    look = {
        kinds.JPEG: _jpeg,
        kinds.TIFF: functools.partial(_tiff, refused=refused),
        kinds.JPEG2000: _jpeg2000,
        kinds.PSD: _psd,
    }.get(kind)
    if look is None:
        return ""
    file.seek(0)
    with contextlib.suppress(struct.error, IndexError):  # a header that is cut short
        return look(file)
    return ""


def _jpeg(file):
    file.seek(2)
    while True:
        marker, length = struct.unpack(">HH", file.read(4))
        low = marker & 0xFF
        if marker >> 8 != 0xFF or low == 0xDA or length < 2:
            return ""
        if 0xC0 <= low <= 0xCF and low not in (0xC4, 0xC8, 0xCC):
            break
        file.seek(length - 2, os.SEEK_CUR)
    bits, _, _, components = struct.unpack(">BHHB", file.read(6))
    if low in (0xC3, 0xCB):
        return "lossless JPEG"
    if low in (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF):
        return "hierarchical JPEG"
    if bits == 12:
        return "JPEG of 12 bits a value"
    return "JPEG of 2 components" if bits == 8 and components == 2 else ""


def _tiff(file, refused):
    head = file.read(8)
    if b"+" in head[2:4]:  # BigTIFF
        head += file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(head)
    try:
        file.seek(tags.next)
        tags.load(file)
        bits = set(tags.get(_BITS, (1,)))
        formats = set(tags.get(_FORMAT, (1,)))
        samples = tags.get(_SAMPLES, 1)
        planes = samples > 1 and tags.get(_PLANAR, 1) == 2
        compression = tags.get(_COMPRESSION, 1)
        white_is_0 = tags.get(_PHOTOMETRIC) == 0
    except Exception:  # whatever Pillow says of a damaged directory
        return ""
    if compression in _COMPRESSIONS.keys() - TiffImagePlugin.COMPRESSION_INFO.keys():
        return f"TIFF with compression by {_COMPRESSIONS[compression]}"
    plain = bits <= _DEPTHS and formats <= {*_FORMATS, 4} and 1 <= samples <= 64
    if not plain or min(tags.get(side, 0) for side in _SIDES) < 1:
        return ""
    if len(bits) > 1 or len(formats) > 1:
        return "TIFF with samples of different types" if refused else ""
    (depth,), (form,) = bits, formats
    what = f"TIFF with {_FORMATS.get(form, '')}values of {depth} bits"
    if samples > 1:
        what += f", {samples} a pixel" + ", one plane after the other" * planes
    if white_is_0:
        what += ", where 0 is white"
    # Of these Pillow takes the wrong bytes, or the wrong end for white.
    wrong = (
        (planes and depth == 16 and compression == 1)
        or (white_is_0 and depth > 8)
        or (form == 2 and depth == 8)
    )
    return what if wrong or refused else ""


def _jpeg2000(file):
    head = file.read(1 << 16)  # a colour profile may come before
    at = head.find(b"\xff\x4f\xff\x51")
    if at < 0:
        return ""
    (components,) = struct.unpack_from(">H", head, at + 40)
    bits = (head[at + 42] & 0x7F) + 1
    # Pillow rounds the lightest values of more bits up, to 0.
    if components > 1 and bits > 8:
        return f"JPEG 2000 in colours of {bits} bits"
    return ""


def _psd(file):
    bits, mode = struct.unpack_from(">HH", file.read(26), 22)
    if (mode, bits) in _PSD_MODES or mode > 9 or bits not in (1, 8, 16, 32):
        return ""
    return f"PSD with {bits} bits a value, in the colour mode {mode}"
