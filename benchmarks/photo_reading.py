"""Photos a second that Caffe's data layer reads, decodes, crops and mirrors.

    .venv/bin/python benchmarks/photo_reading.py data/labelled-80x80-copies8/train 64

It does so in one thread, ahead of the training, which has the same cores.
"""

import argparse
import tempfile
import time
from pathlib import Path

import caffe

_BATCH, _BATCHES, _TURNS = 32, 100, 5
_NET = """layer {{
  name: "data" type: "Data" top: "data" top: "label"
  transform_param {{
    mirror: true crop_size: {crop} mean_value: 104 mean_value: 117 mean_value: 123
  }}
  data_param {{ source: "{source}" backend: LEVELDB batch_size: {batch} }}
}}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("leveldb", type=Path, help="of encoded photos")
    parser.add_argument("crop", type=int, help="pixels a side")
    options = parser.parse_args()
    text = _NET.format(crop=options.crop, source=options.leveldb, batch=_BATCH)
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(text)
        file.flush()
        net = caffe.Net(file.name, caffe.TRAIN)
    best = min(seconds(net) for _ in range(_TURNS))
    print(f"{_BATCH * _BATCHES / best:,.0f} photos a second (best of {_TURNS})")


def seconds(net: caffe.Net) -> float:
    for _ in range(10):  # what has been read ahead meanwhile
        net.forward()
    start = time.perf_counter()
    for _ in range(_BATCHES):
        net.forward()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
