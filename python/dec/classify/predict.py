"""Classes of photos by a run's deploy net."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.classify.kept import Kept
from dec.data.labelled.prepare import PhotoInput
from dec.nets import prototxt
from dec.nets.forward import Deployed, Tag

WEIGHTS = "final.caffemodel"
NEEDED = ("deploy.prototxt", WEIGHTS, "input.json")


def write_input(folder: Path, preparation: PhotoInput, classes: list[str]) -> None:
    """Keeps in a run's folder what new photos need: input.json."""
    mean = preparation.mean
    facts = {
        "kind": "labelled-photos",
        "classes": classes,
        "size": list(preparation.size),
        "crop": preparation.crop,
        "mean_bgr": mean.ravel().tolist() if mean.size <= 3 else None,
        "scale": preparation.scale,
    }
    write_text_atomic(folder / "input.json", json.dumps(facts, indent=1) + "\n")


class Classifier(Deployed):
    """The net of a finished run; its rows are prepared photos.

    classes: their names by number. preparation: of photos. kept: a file that keeps what
    the layers before the last say of photos (dec.classify.kept).
    """

    def __init__(self, folder: Path, device: str = "cpu", kept: Path | None = None):
        folder = Path(folder)
        self.classes, self.preparation = read_input(folder)
        deploy = folder / "deploy.prototxt"
        super().__init__(deploy, folder / WEIGHTS, device)
        self._kept = kept and Kept(kept, self, deploy, self.preparation)

    def proba(
        self, photos: Iterable[tuple[Tag, bytes]]
    ) -> Iterator[tuple[Tag, np.ndarray]]:
        """Tag and a probability a class of every photo, a JPEG of the net's size."""
        if self._kept:
            return self._kept.proba(photos)
        return self.rows((tag, self.preparation.row(jpeg)) for tag, jpeg in photos)


def read_input(folder: Path) -> tuple[list[str], PhotoInput]:
    """The class names and the preparation of a finished run, which is checked."""
    missing = [name for name in NEEDED if not (folder / name).exists()]
    if missing:
        raise DecError(
            f"{folder}: there is no finished run of dec finetune here (no {missing[0]})"
        )
    try:
        facts = json.loads((folder / "input.json").read_text(encoding="utf-8"))
        if facts.get("kind") != "labelled-photos":
            raise DecError(
                f"{folder}: is no run of dec finetune; `dec assign` is for runs of DEC"
            )
        preparation = PhotoInput.of_facts(facts, folder)
        classes = facts["classes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DecError(f"{folder / 'input.json'}: cannot be read: {error}") from None
    outputs = _outputs(folder / "deploy.prototxt")
    if outputs != len(classes):
        raise DecError(
            f"{folder / 'deploy.prototxt'}: {outputs} outputs for {len(classes)} "
            f"classes ({', '.join(classes)} in input.json)"
        )
    return classes, preparation


def _outputs(deploy: Path) -> int:
    """How many numbers a photo the deploy net gives."""
    net = prototxt.read_net(deploy)
    sized = [
        param.num_output
        for layer in net.layer
        for param in (layer.inner_product_param, layer.convolution_param)
        if param.num_output
    ]
    if not sized:
        raise DecError(f"{deploy}: there is no layer with outputs in it")
    return sized[-1]
