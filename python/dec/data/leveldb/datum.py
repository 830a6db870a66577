"""The bytes of Caffe's Datum messages: numbers, shape and label of one row.

The protobuf wire format is written and read here by hand: the protobuf library
would handle each float on its own, some fifty times slower. `float_data` is written
packed, which every protobuf parser accepts for a repeated float, Caffe's too.
Source: https://protobuf.dev/programming-guides/encoding and Caffe's caffe.proto.
"""

from collections.abc import Iterator

import numpy as np

# Field number << 3 | wire type of Datum's fields.
_CHANNELS, _HEIGHT, _WIDTH, _DATA, _LABEL = 0x08, 0x10, 0x18, 0x22, 0x28
_PACKED_FLOATS, _ONE_FLOAT, _ENCODED = 0x32, 0x35, 0x38


def decode_datum(value: bytes) -> tuple[tuple[int, int, int], int, np.ndarray]:
    """Shape, label (-1 if absent) and flat float32 numbers of one Datum's bytes.

    Raises ValueError when it is damaged or holds a compressed image.
    """
    shape = [0, 0, 0]
    label = -1
    parts = []
    position = 0
    try:
        while position < len(value):
            tag, position = _varint(value, position)
            if tag == _ONE_FLOAT:
                numbers, position = _unpacked_floats(value, position - 1)
                parts.append(numbers)
            elif tag in (_PACKED_FLOATS, _DATA):
                size, position = _varint(value, position)
                dtype = np.uint8 if tag == _DATA else np.dtype("<f4")
                count, rest = divmod(size, 1 if tag == _DATA else 4)
                if rest or position + size > len(value):
                    raise ValueError("cut short")
                parts.append(np.frombuffer(value, dtype, count, position))
                position += size
            elif tag in (_CHANNELS, _HEIGHT, _WIDTH, _LABEL, _ENCODED):
                number, position = _varint(value, position)
                if tag == _LABEL:
                    # int32 as protobuf writes it: 64 bits of two's complement.
                    label = number - (1 << 64) if number >> 63 else number
                elif tag != _ENCODED:
                    shape[(tag >> 3) - 1] = number
                elif number:
                    raise ValueError("a compressed image; only plain pixels are read")
            else:
                raise ValueError(f"not a Datum (field tag {tag})")
    except IndexError:
        raise ValueError("cut short") from None
    numbers = parts[0] if len(parts) == 1 else np.concatenate(parts or [[]])
    width = shape[0] * shape[1] * shape[2]
    if not 0 < width == len(numbers):
        raise ValueError(f"{len(numbers)} numbers in a shape of {tuple(shape)}")
    return tuple(shape), label, numbers.astype(np.float32, copy=False)


def encode_rows(block: np.ndarray, labels: list[int] | None) -> Iterator[bytes]:
    """Yields the Datum bytes of each row of a block.

    block: uint8 or float32, (n, d) or (n, channels, height, width). labels: n
    integers, or None to leave them out.
    """
    shape = block.shape[1:] if block.ndim == 4 else (block.shape[1], 1, 1)
    size = int(np.prod(shape)) * block.itemsize
    numbers = block.tobytes()
    head = b"".join(map(_field, (_CHANNELS, _HEIGHT, _WIDTH), shape))
    is_bytes = block.dtype == np.uint8
    opening = _field(_DATA if is_bytes else _PACKED_FLOATS, size)
    # Fields in the order of their numbers, as protobuf writes them: data (4) before
    # label (5) before float_data (6).
    encoded = {None: b""}
    for at, label in enumerate(labels or [None] * len(block)):
        if label not in encoded:
            encoded[label] = _field(_LABEL, label)
        payload = opening, numbers[at * size : (at + 1) * size]
        if is_bytes:
            yield b"".join((head, *payload, encoded[label]))
        else:
            yield b"".join((head, encoded[label], *payload))


def _varint(value, position):
    byte = value[position]
    position += 1
    if byte < 128:
        return byte, position
    number = byte & 127
    for shift in range(7, 70, 7):
        byte = value[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
    raise ValueError("a number of more than ten bytes")


def _unpacked_floats(value, position):
    """The run of tag-and-float groups, five bytes each, that starts at `position`."""
    groups = (len(value) - position) // 5
    table = np.frombuffer(value, np.uint8, 5 * groups, position).reshape(-1, 5)
    others = np.flatnonzero(table[:, 0] != _ONE_FLOAT)
    run = int(others[0]) if len(others) else groups
    if run == 0:
        raise ValueError("cut short")
    return table[:run, 1:].copy().view("<f4").ravel(), position + 5 * run


def _encode_varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(tag, number):
    # Negative int32s go out as 64 bits, as protobuf has it.
    return bytes([tag]) + _encode_varint(number % (1 << 64))
