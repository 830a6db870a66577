"""`dec export --onnx`: a finished run's deploy net as ONNX, with its preparation."""

import base64
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.errors import DecError
from dec.data.labelled.prepare import PhotoInput
from dec.engine.runs import preparation
from dec.nets import caffe_process

FILE = "deploy.onnx"
_PHOTO = """\
data: float32, N x 3 x {height} x {width}. A photo as a viewer shows it, in colour, is \
stretched to {size[0]} x {size[1]} pixels (width x height), whatever its shape, with \
Lanczos; dec keeps it as a JPEG of quality 95 then, which changes numbers a little. \
Values are 0 to 255, channels blue, green, red in this order. {mean} subtracted; the \
middle {width} x {height} are cut out; what is left is multiplied by {scale:g}."""
_MIDDLE = """\
data: float32, {shape}. A photo's shorter side is brought to {resize} pixels, its \
middle cut out; channels blue, green, red in this order, 0 to 255. Clusters are those \
of the nearest centre of {features} after PCA: `dec assign` does it. The net's own \
output is what its last layer, trained on the clusters before, makes of them."""
_ROWS = "data: float32, {shape}. {what}, multiplied by {scale:g}."
_IMAGE = "A row is the pixels of an image of {} (height x width), 0 to 255, in order"
_COLUMNS = "A row is the numbers of the columns that input's `matrix` names, in order"
_OTHER = (
    "data: float32, {shape}. A row is what dec makes of {kind}, which takes more than "
    "arithmetic: `dec assign` does it, and `dec data` writes such rows into a LevelDB."
)


def export_onnx(folder: Path, out: Path | None = None) -> Path:
    """Writes the net of a run of DEC or of a fine-tuning as ONNX; returns the file.

    out: the file; deploy.onnx in the run's folder if None. The model's metadata_props
    have input (input.json's facts, as JSON), preparation (how to make its input, in
    words), and for classifiers classes (JSON) and, where there is one, mean_image.
    Raises DecError, and writes nothing, where there is no finished run, its net has a
    layer that cannot be written, or `out` is a file of something else.
    """
    metadata = describe(folder)
    out = folder / FILE if out is None else out

    def work() -> None:
        from dec.nets.onnx_export import write_onnx

        deploy, weights = folder / "deploy.prototxt", folder / "final.caffemodel"
        write_onnx(deploy, weights, out, metadata)

    caffe_process.run(work, folder / "export.log")
    progress.say(f"export: {out}, {out.stat().st_size / 1e6:,.1f} MB")
    return out


def describe(folder: Path) -> dict:
    """The metadata of a finished run's net: see `export_onnx`."""
    facts = preparation(folder)
    try:
        if facts.get("kind") == "labelled-photos":
            return _of_photos(facts, PhotoInput.of_facts(facts, folder))
        return {"input": facts, "preparation": _of_rows(facts)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DecError(f"{folder / 'input.json'}: is damaged: {error!r}") from None


def _of_photos(facts: dict, photo: PhotoInput) -> dict:
    _, height, width = photo.shape
    found = {"input": facts | {"channels": "BGR"}, "classes": facts["classes"]}
    if photo.mean.size > 3:
        mean = photo.middle(photo.mean)
        content = base64.b64encode(mean.astype("<f4").tobytes()).decode()
        found["mean_image"] = {
            "shape": mean.shape,
            "type": "little-endian float32",
            "base64": content,
        }
        words = "The mean (mean_image, of the middle, as large as the input) is"
    else:
        words = f"The mean, {', '.join(f'{x:g}' for x in photo.mean.ravel())}, is"
    found["preparation"] = _PHOTO.format(
        height=height, width=width, size=photo.size, mean=words, scale=photo.scale
    )
    return found


def _of_rows(facts: dict) -> str:
    shape = " x ".join(map(str, ("N", *facts["shape"])))
    if facts.get("kind") == "deepcluster":
        return _MIDDLE.format(**facts | {"shape": shape})
    if facts.get("image"):
        what = _IMAGE.format(" x ".join(map(str, facts["image"])))
    elif (facts.get("matrix") or {}).get("columns"):
        what = _COLUMNS
    elif facts.get("kind", "matrix") == "matrix":
        what = f"A row is {int(np.prod(facts['shape']))} numbers"
    else:
        return _OTHER.format(shape=shape, kind=facts["kind"])
    return _ROWS.format(shape=shape, what=what, scale=facts.get("scale") or 1)
