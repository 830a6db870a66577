"""What the tests of `dec.photos` share: photos good and broken, the command line."""

import argparse
import contextlib
import functools
import io
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from dec.base import progress
from dec.base.errors import DecError
from dec.data.images.described import Described
from dec.photos import commands as cli

NOT_UTF8 = os.fsdecode(b"caf\xe9.jpg")


def picture(seed: int, width: int = 48, height: int = 36) -> Image.Image:
    """A smooth picture in colours, another for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    """The bytes of an image file."""
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


@functools.cache
def jpeg(seed: int, width: int = 48, height: int = 36) -> bytes:
    """A small JPEG, another for every seed."""
    return encoded(picture(seed, width, height), quality=90)


def good_photos(folder: Path, count: int) -> list[str]:
    """Writes so many good JPEGs of 48 x 36, in two sub-folders; returns their names."""
    names = []
    for i in range(count):
        name = f"{'ab'[i % 2]}/{i:04d}.jpg"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg(i))
        names.append(name)
    return names


def _png_chunk(name: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + check


def _bomb(width: int, height: int) -> bytes:
    """A grey PNG that claims to be of this size; a decoder should not even begin."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _png_chunk(name, data)
        for name, data in [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    )


@functools.cache
def broken_files() -> dict[str, tuple[str, bytes]]:
    """Name: (the reason that clean shall give, content). One of every kind and more."""
    large = picture(9001, 400, 300)
    jpg = encoded(large, quality=90)
    cut = {
        kind: encoded(large, kind)[: -len(encoded(large, kind)) // 3]
        for kind in ("PNG", "GIF", "WEBP", "BMP", "TIFF")
    }
    noise = bytearray(jpg)
    at = len(jpg) // 2
    noise[at : at + 300] = np.random.default_rng(0).bytes(300)
    zeros = bytearray(jpg)
    zeros[at : at + 300] = bytes(300)
    flipped = bytearray(encoded(large, "PNG"))
    flipped[len(flipped) // 2] ^= 0x55
    bomb = zlib.compress(bytes(80 << 20), 9)
    text_bomb = encoded(large, "PNG")
    text_bomb = text_bomb[:33] + _png_chunk(b"zTXt", b"x\0\0" + bomb) + text_bomb[33:]
    mini = jpeg(9002)
    return {
        "empty.jpg": ("empty", b""),
        "cut.jpg": ("truncated", jpg[: len(jpg) // 2]),
        "cut-early.jpg": ("truncated", jpg[:200]),
        "cut-filled.jpg": ("truncated", jpg[:at] + bytes(len(jpg) - at)),
        "cut.png": ("truncated", cut["PNG"]),
        "cut.gif": ("truncated", cut["GIF"]),
        "cut.webp": ("truncated", cut["WEBP"]),
        "cut.bmp": ("truncated", cut["BMP"]),
        "cut.tif": ("truncated", cut["TIFF"]),
        "noise.jpg": ("corrupt", bytes(noise)),
        "zeros-inside.jpg": ("corrupt", bytes(zeros)),
        "cut-and-ended.jpg": ("corrupt", jpg[:at] + b"\xff\xd9"),
        "flipped.png": ("corrupt", bytes(flipped)),
        "page.jpg": ("not-an-image", b"<!DOCTYPE html><html><p>404</p></html>"),
        "notes.txt": ("not-an-image", b"Remember the milk.\n"),
        "zeros.jpg": ("not-an-image", bytes(5000)),
        "archive.png": ("not-an-image", b"PK\x03\x04" + bytes(30)),
        "really-png.jpg": ("wrong-extension", encoded(picture(9003), "PNG")),
        "really-jpeg.txt": ("wrong-extension", mini),
        "phone.heic": ("unsupported", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" * 9),
        "drawing.svg": ("unsupported", b'<?xml version="1.0"?>\n<svg></svg>'),
        "camera.cr2": ("unsupported", b"II*\0\x10\0\0\0CR\2\0" + bytes(99)),
        "old.tga": ("unsupported", bytes([0, 0, 2]) + bytes(99)),
        "bomb.png": ("too-large", _bomb(60_000, 60_000)),
        "text-bomb.png": ("too-large", text_bomb),
    }


def dec_photos(*words: object) -> int:
    """Runs `dec photos …` in this process; returns the exit code."""
    parser = argparse.ArgumentParser(prog="dec")
    cli.register(parser.add_subparsers(required=True), Described.by)
    options = parser.parse_args(["photos", *map(str, words)])
    try:
        options.command(options)
    except DecError as error:
        progress.say(f"dec: error: {error}")
        return 1
    return 0


def start_dec_photos(*words: object, cwd: Path) -> subprocess.Popen:
    """Starts `dec photos …` as a process of its own, to be killed."""
    script = "import sys, photos_samples as s; sys.exit(s.dec_photos(*sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([_HERE, *sys.path])},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


_HERE = str(Path(__file__).parent)


def open_to_all(folder: Path) -> None:
    """Lets every user into a temporary folder of pytest's, through those around it."""
    for path in (folder, *folder.parents):
        if path == Path(tempfile.gettempdir()):
            break
        path.chmod(0o777)


@contextlib.contextmanager
def without_rights():
    """As a user who may read only what is open to all, even where root runs this."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
