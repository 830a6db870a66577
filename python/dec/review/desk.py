"""A review on the page: what it shows, the answers it takes, who looks on."""

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from starlette.concurrency import run_in_threadpool

from dec.base.errors import DecError
from dec.base.files import printable
from dec.review import take_away
from dec.review.book import Book
from dec.review.code import Code
from dec.review.items import Items
from dec.review.learning import Learning
from dec.review.pictures import Pictures
from dec.review.state import Change

_STEP = 1.0  # seconds between two looks at tables and work
_WORKING = 0.3  # while something is at work
_NEIGHBOURS = 12
_NICE = 10  # of threads that make thumbnails: answers go first


class Desk:
    """Answers, thumbnails and pages of one review."""

    def __init__(self, items: Items, book: Book, experiment: str):
        self.items, self.book = items, book
        self.code, self.pictures = Code(items), Pictures(items)
        self.learning = Learning(book, experiment)
        self._pages: set[asyncio.Queue] = set()
        cores = len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(cores, "thumbnails", _be_nice)
        known = np.isfinite(items.confidence)
        mille = np.where(known, np.nan_to_num(items.confidence) * 1000, -1)
        self._confidence = to_json(np.rint(mille).astype(int).tolist())
        self._clusters: tuple = (-1, b"", b"")
        self._exports = take_away.kinds(items)
        self.state()  # so that the first page need not wait for it

    def state(self) -> bytes:
        """All that stands now, as JSON. Columns of all items are kept as they are."""
        with self.book.lock:
            book, state = self.book, self.book.state
            if self._clusters[0] != state.moves:
                names = list(dict.fromkeys([*state.clusters(), *state.name]))
                at = {name: i for i, name in enumerate(names)}
                column = [at[cluster] for cluster in state.cluster.values()]
                self._clusters = (state.moves, names, to_json(column))
            _, names, column = self._clusters
            facts = {
                "number": book.number,
                "title": printable(self.items.title),
                "kind": self.pictures.kind,
                "measure": self.items.measure,
                "clusters": names,
                "name": state.name,
                "accepted": list(state.accepted),
                "answer": list(state.answer.items()),
                "undo": len(state.done),
                "redo": len(state.undone),
                "trouble": book.trouble,
                "gone": sorted(self.items.gone),
                "experiments": self.learning.experiments,
                "exports": self._exports,
            }
        head = to_json(facts | self.learning.progress())
        return b"%b,\"cluster\":%b,\"confidence\":%b}" % (
            head[:-1], column, self._confidence
        )  # fmt: skip

    def item(self, item: int) -> dict:
        """All about one: for the panel beside its large picture."""
        found = {
            "name": printable(self.items.names[item]),
            "cluster": self.book.state.cluster[item],
            "near": [],
            "guesses": self.learning.guesses_of(item),
            "text": self.pictures.text(item) if self.pictures.kind == "text" else None,
        }
        with contextlib.suppress(DecError):
            near = self.code.nearest(item, _NEIGHBOURS)
            found["near"] = [(i, d) for i, d in near if i not in self.items.gone]
        return found

    def answer(self, said: dict) -> dict:
        """Takes an answer; returns what pages are told. In a thread."""
        with self.book.lock:
            number, changes = self.book.do(self._by_name(said))
            return self._told(number, changes)

    async def step(self) -> None:
        """Keeps tables and pages in step, until it is cancelled."""
        told = None
        while True:
            await asyncio.sleep(_WORKING if self.learning.busy else _STEP)
            self.book.held &= self.learning.busy
            for number, changes in await run_in_threadpool(self.book.keep_in_step):
                self.tell("change", self._told(number, changes))
            if await run_in_threadpool(self.learning.read_guesses):
                self.tell("guesses", {})
            now = await run_in_threadpool(self.learning.progress)
            now["trouble"] = self.book.trouble
            if now != told:
                self.tell("progress", now)
                told = now

    def tell(self, what: str, facts: dict) -> None:
        """To all pages. In the loop's thread."""
        text = f"event: {what}\ndata: {json.dumps(facts)}\n\n"
        for queue in self._pages:
            queue.put_nowait(text)

    @contextlib.contextmanager
    def page(self) -> Iterator[asyncio.Queue]:
        """A queue of what is to be told to a page."""
        queue: asyncio.Queue = asyncio.Queue()
        self._pages.add(queue)
        try:
            yield queue
        finally:
            self._pages.discard(queue)

    async def thumbnail(self, item: int) -> tuple[bytes, str]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self.pictures.small, item)

    def close(self) -> None:
        self.learning.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.book.close()

    def number_of(self, word: object) -> int:
        """An item's number; DecError for what is none."""
        try:
            number = int(word)
        except (TypeError, ValueError):
            number = -1
        if not 0 <= number < len(self.items.names):
            raise DecError("there is no such photo in this review")
        return number

    def _by_name(self, said: dict) -> dict:
        """The answer as it goes into the journal."""
        if not isinstance(said, dict):
            raise DecError("an answer is an object")
        do = said.get("do")
        state = self.book.state
        if do == "mark":
            items = said.get("items")
            if not isinstance(items, list) or not items:
                raise DecError("which photos?")
            names = [self.items.names[self.number_of(i)] for i in items]
            kept = {"do": do, "items": names, "class": said.get("class")}
            return kept | ({"new": True} if said.get("new") else {})
        if do == "split":
            cluster = said.get("cluster")
            part = self.code.two_parts(state.members(cluster))
            names = [self.items.names[i] for i in part]
            into = state.free_cluster(cluster)
            return {"do": do, "cluster": cluster, "items": names, "into": into}
        keys = {"name": ("cluster", "class"), "accept": ("cluster", "on"),
                "merge": ("cluster", "into")}.get(do, ())  # fmt: skip
        return {"do": do} | {key: said[key] for key in keys if key in said}

    def _told(self, number: int, changes: list[Change]) -> dict:
        state = self.book.state
        return {
            "number": number,
            "changes": [[table, key, new] for table, key, _, new in changes],
            "undo": len(state.done),
            "redo": len(state.undone),
        }


def to_json(content: object) -> bytes:
    """Names may hold bytes that are not UTF-8, which only escapes can carry."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def _be_nice() -> None:
    """Of this thread alone; elsewhere than on Linux it would be the process."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
