"""What a file is, by its first bytes: image formats, and names for other content."""

import re
from typing import NamedTuple

HEAD = 1024  # bytes that `sniff` and `describe` want to see


class Kind(NamedTuple):
    """An image format: its name, its suffixes (the first is the one we write)."""

    name: str
    suffixes: tuple[str, ...]
    pillow: tuple[str, ...] = ()  # Pillow's names for it; none: we cannot read it


JPEG = Kind("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), ("JPEG",))
PNG = Kind("PNG", (".png", ".apng"), ("PNG",))
GIF = Kind("GIF", (".gif",), ("GIF",))
WEBP = Kind("WebP", (".webp",), ("WEBP",))
BMP = Kind("BMP", (".bmp", ".dib"), ("BMP",))
TIFF = Kind("TIFF", (".tif", ".tiff"), ("TIFF",))
AVIF = Kind("AVIF", (".avif",), ("AVIF",))
JPEG2000 = Kind("JPEG 2000", (".jp2", ".j2k", ".jpf", ".jpx", ".jpc"), ("JPEG2000",))
PNM = Kind("PNM", (".ppm", ".pgm", ".pbm", ".pnm"), ("PPM",))
ICO = Kind("ICO", (".ico",), ("ICO",))
PSD = Kind("PSD", (".psd",), ("PSD",))
HEIF = Kind("HEIF", (".heic", ".heif", ".hif"))
SVG = Kind("SVG", (".svg",))
RAW = Kind("camera raw", (".cr2", ".cr3", ".raf", ".rw2", ".orf", ".nef", ".arw"))

_MAGIC = [
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in [
        (rb"\xff\xd8\xff", JPEG),
        (rb"\x89PNG\r\n\x1a\n", PNG),
        (rb"GIF8[79]a", GIF),
        (rb"RIFF....WEBP", WEBP),
        # "BM" alone might be text: the size of the next header is a fixed number.
        (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", BMP),
        (rb"II\*\0....CR", RAW),
        (rb"II[*+]\0|MM\0[*+]", TIFF),
        (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", JPEG2000),
        # Not the names of columns, "P1<tab>P2": the width comes next.
        (rb"P[1-6](\s|#[^\r\n]*([\r\n]|\Z))+(\d|\Z)", PNM),
        (rb"\0\0\x01\0[^\0]\0...\0", ICO),
        (rb"8BPS", PSD),
        (rb"....ftyp(avif|avis)", AVIF),
        (rb"....ftypmif1.{4,40}?avif", AVIF),
        (rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", HEIF),
        (rb"....ftypcrx |FUJIFILMCCD-RAW|IIU\0|IIR[OS]", RAW),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", Kind("JPEG XL", (".jxl",))),
        (rb"v/1\x01", Kind("OpenEXR", (".exr",))),
        (rb"gimp xcf", Kind("XCF", (".xcf",))),
        (rb"%!PS|\xc5\xd0\xd3\xc6", Kind("EPS", (".eps", ".ps", ".epsf"))),
        (rb"DDS ", Kind("DDS", (".dds",))),
        (rb"icns", Kind("ICNS", (".icns",))),
    ]
]
ALL = list(dict.fromkeys(kind for _, kind in _MAGIC)) + [SVG]
# Formats of photos that have no magic number of their own, or share TIFF's.
UNREAD_SUFFIXES = (".nef", ".arw", ".dng", ".tga", ".raw", ".crw", ".pcd")

_OTHER = [
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), words)
    for pattern, words in [
        (rb"\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body|script|title)", "HTML"),
        (rb"\s*<\?xml", "XML"),
        (rb"%PDF", "PDF"),
        (rb"PK\x03\x04", "a ZIP archive"),
        (rb"\x1f\x8b", "gzip data"),
        (rb"....ftyp|RIFF....AVI |\x1a\x45\xdf\xa3|....moov|....mdat", "a video"),
        (rb"\0{16,}$", "nothing but zeros"),
    ]
]
_TEXT = bytes(range(32, 127)) + b"\t\r\n\f"


def sniff(head: bytes) -> Kind | None:
    """The image format that a file starting with `head` (HEAD bytes of it) has."""
    for magic, kind in _MAGIC:
        if magic.match(head):
            return kind
    if re.match(rb"\s*(<\?xml|<!--|<!doctype svg|<svg)", head, re.I) and (
        b"<svg" in head.lower()
    ):
        return SVG
    return None


def describe(head: bytes) -> str:
    """In words, what a file that is no image seems to be."""
    head = head.removeprefix(b"\xef\xbb\xbf")
    for magic, words in _OTHER:
        if magic.match(head):
            return words
    if head and not head.translate(None, _TEXT):
        return "text"
    try:
        head[:-4].decode()
    except UnicodeDecodeError:
        return "unknown content"
    return "text" if b"\0" not in head else "unknown content"


def ends_early(data: bytes, kind: Kind) -> bool | None:
    """Whether the end of an image file is missing; None where that cannot be told.

    Looks at markers, chunks and sizes only, so it is quick and proves nothing about
    what is between them.
    """
    check = {
        JPEG: _jpeg,
        PNG: _png,
        GIF: lambda d: not d.rstrip(b"\0\r\n").endswith(b";"),
        WEBP: lambda d: int.from_bytes(d[4:8], "little") + 8 > len(d),
        BMP: lambda d: int.from_bytes(d[2:6], "little") > len(d),
        TIFF: _tiff,
        AVIF: _boxes,
    }.get(kind)
    return check(data) if check else None


def _jpeg(data):
    # A preview in the EXIF data has an end marker too, so count from the scan on.
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:
            return data.find(b"\xff\xd9", at) < 0
        if marker == 0xFF or 0xD0 <= marker <= 0xD9 or marker == 1:
            at += 1 if marker == 0xFF else 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return at + 4 > len(data)


def _png(data):
    at = 8
    while at + 12 <= len(data):
        name = data[at + 4 : at + 8]
        if not name.isalpha():
            return False
        at += 12 + int.from_bytes(data[at : at + 4])
        if name == b"IEND":
            return at > len(data)
    return True


def _tiff(data):
    if b"+" in data[2:4]:
        return None
    order = "little" if data[:2] == b"II" else "big"
    # Where the directory is; it may come before the pixels, so there is no "complete".
    return int.from_bytes(data[4:8], order) + 2 > len(data) or None


def _boxes(data):
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        if size == 0:  # to the end of the file
            return False
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        if size < 8:
            return None
        at += size
    return at != len(data)
