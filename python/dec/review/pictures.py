"""What an item looks like: a photo made small, a digit, the first lines of a text."""

import io
import threading
from pathlib import Path

import numpy as np
from PIL import Image

from dec.base.digest import digest
from dec.base.errors import DecError
from dec.data import leveldb
from dec.data.texts.textfiles import Unusable, decode, read
from dec.photos.load import BadPhoto, load_rgb
from dec.review.items import Items

SIDE = 192  # pixels, the longer one of a thumbnail
_LARGE = 1600
_FORMAT = 1  # raise it to have thumbnails made anew
_LINES, _LETTERS = 12, 900  # of a text
_STRONGEST = 8  # stems


class Pictures:
    """Pictures of items as JPEG or PNG files. Any thread may ask.

    Thumbnails are made once and kept in the loop's folder, by the photo's name, size
    and time of change.
    """

    def __init__(self, items: Items):
        self.items = items
        self.folder = items.root / "thumbnails"
        self._lock = threading.Lock()
        self._run = items.results
        self.kind = "photo"
        if items.folder is None:
            self.kind = "row" if self._run.images is not None else "text"

    def small(self, item: int) -> tuple[bytes, str]:
        """A thumbnail and its media type. Raises DecError for a photo that is bad."""
        if self.kind == "photo":
            return self._photo(item), "image/jpeg"
        return self._row(item), "image/png"

    def large(self, item: int) -> tuple[bytes, str]:
        """The picture at up to 1,600 pixels."""
        if self.kind != "photo":
            return self._row(item), "image/png"
        image = load_rgb(self._path(item), at_least=(_LARGE, _LARGE))
        return _jpeg(image, _LARGE, 88), "image/jpeg"

    def text(self, item: int) -> dict:
        """The first lines of a text, and the stems that weigh most in its row."""
        return {"lines": self._lines(item), "words": self._words(item)}

    def _lines(self, item: int) -> str:
        folder = self._run.meta.get("folder")
        if not folder or not (path := Path(folder) / self.items.names[item]).is_file():
            return ""
        try:
            text, _ = decode(read(path))
        except (DecError, Unusable) as error:
            return f"({error})"
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "\n".join(lines[:_LINES])[:_LETTERS]

    def _words(self, item: int) -> list[str]:
        stems = (self._run.meta.get("text") or {}).get("stems")
        if not stems:
            return []
        try:
            with self._lock, leveldb.open_reader(self._run.database) as reader:
                values = reader.read(item, item + 1)[0].ravel()
        except DecError:
            return []
        best = np.argsort(-values, kind="stable")[:_STRONGEST]
        return [stems[i] for i in best if values[i] > 0]

    def _path(self, item: int) -> Path:
        return self.items.folder / self.items.names[item]

    def _photo(self, item: int) -> bytes:
        path = self._path(item)
        try:
            stat = path.stat()
        except OSError:
            raise BadPhoto(path, "missing", "no such file") from None
        name = self.items.names[item]
        key = digest(f"{_FORMAT} {stat.st_size} {stat.st_mtime_ns}",
                     name.encode("utf-8", "surrogateescape"))  # fmt: skip
        file = self.folder / key[:2] / f"{key[2:34]}.jpg"
        try:
            return file.read_bytes()
        except OSError:
            pass
        content = _jpeg(load_rgb(path, at_least=(SIDE, SIDE)), SIDE, 80)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_bytes_quickly(file, content)
        except OSError:
            pass  # a full disk: it is made again each time
        return content

    def _row(self, item: int) -> bytes:
        with self._lock:  # a LevelDB is open once
            if self._run.images is None:
                raise DecError("this row has no picture")
            pixels = self._run.images[item]
        out = io.BytesIO()
        Image.fromarray(np.asarray(pixels)).save(out, "png")
        return out.getvalue()


def write_bytes_quickly(file: Path, content: bytes) -> None:
    """Whole or not at all; a power cut may lose it, since it can be made again."""
    new = file.with_name(f"{file.name}.{threading.get_ident()}")
    new.write_bytes(content)
    new.replace(file)


def _jpeg(image: Image.Image, side: int, quality: int) -> bytes:
    image.thumbnail((side, side), Image.Resampling.BILINEAR)
    out = io.BytesIO()
    image.save(out, "jpeg", quality=quality)
    return out.getvalue()
