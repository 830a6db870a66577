"""TIFFs of any type of values, also of those that no library writes."""

import struct

import numpy as np

_FORMATS = {"u": 1, "i": 2, "f": 3}


def tiff(values: np.ndarray, photometric: int, **options) -> bytes:
    """An uncompressed TIFF of values, height x width x samples, in their own type.

    photometric: 0 (white is 0), 1 (black is 0), 2 (RGB) or 5 (CMYK). options: as
    `packed` has them.
    """
    bits = 8 * values.dtype.itemsize
    form = _FORMATS[values.dtype.kind]
    order = options.get("order", "<")
    stored = values.astype(values.dtype.newbyteorder(order))
    if options.get("planar") == 2:
        strips = [stored[:, :, i].tobytes() for i in range(values.shape[2])]
    else:
        strips = [stored.tobytes()]
    return packed(strips, values.shape, bits, form, photometric, **options)


def packed(  # noqa: PLR0913
    strips: list[bytes],
    shape: tuple[int, int, int],
    bits: int,
    form: int = 1,
    photometric: int = 1,
    planar: int = 1,
    order: str = "<",
    extra: int | None = None,
    compression: int = 1,
) -> bytes:
    """A TIFF of strips. extra: what the last sample is (1, 2: transparency)."""
    height, width, samples = shape
    ends = np.cumsum([8, *map(len, strips)]).tolist()
    tags = [
        (256, "H", [width]),
        (257, "H", [height]),
        (258, "H", [bits] * samples),
        (259, "H", [compression]),
        (262, "H", [photometric]),
        (273, "I", ends[:-1]),
        (277, "H", [samples]),
        (278, "H", [height]),
        (279, "I", list(map(len, strips))),
        (284, "H", [planar]),
        *([(338, "H", [extra])] if extra is not None else []),
        (339, "H", [form] * samples),
    ]
    entries, behind = b"", b""
    after = ends[-1] + 2 + 12 * len(tags) + 4
    for tag, letter, numbers in tags:
        data = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        if len(data) > 4:
            at = struct.pack(f"{order}I", after + len(behind))
            behind, data = behind + data, at
        kind = {"H": 3, "I": 4}[letter]
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers))
        entries += data.ljust(4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(f"{order}2sHI", mark, 42, ends[-1])
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    return head + b"".join(strips) + directory + behind
