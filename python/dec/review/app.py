"""The page's server: what the browser asks of a review, as JSON and pictures.

Starlette and uvicorn: the smallest well-kept pair that serves JSON, pictures and a
stream of events in one process, in pure Python. The browser speaks of items by their
numbers and of clusters and classes by words; no word of it becomes a file's path.
"""

import asyncio
import contextlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.base.files import printable
from dec.review import rounds, take_away
from dec.review.book import Book
from dec.review.code import Code
from dec.review.items import Items
from dec.review.jobs import Job
from dec.review.pictures import Pictures
from dec.review.state import Change

PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript",
          ".svg": "image/svg+xml"}  # fmt: skip
_EXPERIMENTS = ("squeezenet-linear", "squeezenet", "caffenet-small")
_STEP = 1.0  # seconds between two looks at tables and work
_NEIGHBOURS = 12
_LISTED = 40  # in review.csv, for the shell
_MOST_NAMES = 500  # in one answer


class Desk:
    """A review on the page: answers, work in the background, and who looks on."""

    def __init__(self, items: Items, book: Book, experiment: str):
        self.items, self.book = items, book
        self.code, self.pictures = Code(items), Pictures(items)
        self.experiments = list(dict.fromkeys([experiment, *_EXPERIMENTS]))
        self.job: Job | None = None
        self.guesses: rounds.Guesses | None = None
        self._guessed: tuple | None = ()
        self._pages: set[asyncio.Queue] = set()
        self._pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), "thumbnails")
        self._read_guesses()

    # What the page asks ------------------------------------------------------------

    def state(self) -> dict:
        with self.book.lock:
            return self._state()

    def _state(self) -> dict:
        book, state = self.book, self.book.state
        clusters = list(dict.fromkeys([*state.clusters(), *state.name]))
        at = {name: i for i, name in enumerate(clusters)}
        known = np.isfinite(self.items.confidence)
        mille = np.where(known, np.nan_to_num(self.items.confidence) * 1000, -1)
        return {
            "number": book.number,
            "title": printable(self.items.title),
            "kind": self.pictures.kind,
            "clusters": clusters,
            "cluster": [at[state.cluster[i]] for i in range(len(state.names))],
            "confidence": np.rint(mille).astype(int).tolist(),
            "name": state.name,
            "accepted": list(state.accepted),
            "answer": list(state.answer.items()),
            "undo": len(state.done),
            "redo": len(state.undone),
            "trouble": book.trouble,
            "gone": sorted(self.items.gone),
            "experiments": self.experiments,
            "trainable": self.items.folder is not None,
        } | self.progress()

    def guessed(self) -> dict:
        """The last net's guesses, in thousandths; {} before the first round."""
        found = self.guesses
        if found is None:
            return {}
        return {
            "classes": found.classes,
            "first": found.first.tolist(),
            "p": np.rint(found.p * 1000).astype(int).tolist(),
            "margin": np.rint(np.nan_to_num(found.margin, nan=-1) * 1000)
            .astype(int).tolist(),
        }  # fmt: skip

    def progress(self) -> dict:
        facts = self.job.facts() if self.job else None
        busy = not (self.job and self.job.running) and self.book.busy()
        return {"job": facts, "elsewhere": busy}

    def rounds(self) -> dict:
        reviewed = {int(n): count for n, count in self._reviewed().items()}
        found = {"rounds": rounds.rounds(self.items.root, reviewed)}
        if self.guesses is not None:
            with self.book.lock:
                found["worth"] = rounds.worth(self.book.state, self.guesses)
        return found

    def doubtful(self, count: int) -> list[int]:
        if self.guesses is None:
            return []
        with self.book.lock:
            return rounds.doubtful(self.book.state, self.guesses, count)

    def item(self, item: int) -> dict:
        """All about one: for the panel beside its large picture."""
        state = self.book.state
        found = {
            "name": printable(self.items.names[item]),
            "cluster": state.cluster[item],
            "near": [],
            "guesses": [],
            "text": self.pictures.text(item) if self.pictures.kind == "text" else None,
        }
        net = self.guesses
        if net is not None and net.first[item] >= 0:
            found["guesses"] = [
                [net.classes[net.first[item]], round(float(net.p[item]), 4)],
                [net.classes[net.second[item]], round(float(net.q[item]), 4)],
            ]
        with contextlib.suppress(DecError):
            found["near"] = self.code.nearest(item, _NEIGHBOURS)
        return found

    # What it says ------------------------------------------------------------------

    def answer(self, said: dict) -> dict:
        """Takes an answer, and tells all pages. In a thread."""
        with self.book.lock:
            number, changes = self.book.do(self._by_name(said))
            return self._told(number, changes)

    def start(self, what: str, facts: dict) -> None:
        """Begins work in the background: a round, or an export. In a thread."""
        if self.job and self.job.running:
            raise DecError("something is at work already; wait for it, or stop it")
        root = str(self.items.root)
        if what == "train":
            experiment = facts.get("experiment")
            if experiment not in self.experiments:
                raise DecError("there is no experiment of that name on the list")
            if self.items.folder is None:
                raise DecError("`dec loop` trains on photos; these rows are none")
            self.book.write()
            self._note_round()
            words = ["loop", "next", "--run", root, "--experiment", experiment,
                     "--review", str(_LISTED)]  # fmt: skip
        else:
            kind = facts.get("kind")
            if kind not in take_away.KINDS:
                raise DecError("there is no export of this kind")
            words = ["review", root, "--export", kind]
            words += ["--guesses"] if facts.get("guesses") else []
        self.book.held = what == "train"
        self.job = Job(what, words)

    # In the background -------------------------------------------------------------

    async def step(self) -> None:
        """Keeps tables and pages in step, until it is cancelled."""
        told = None
        while True:
            await asyncio.sleep(_STEP if not (self.job and self.job.running) else 0.3)
            self.book.held &= bool(self.job and self.job.running)
            for number, changes in await run_in_threadpool(self.book.keep_in_step):
                self.tell("change", self._told(number, changes))
            if await run_in_threadpool(self._read_guesses):
                self.tell("guesses", {})
            now = await run_in_threadpool(self.progress)
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
    def page(self):
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
        if self.job and self.job.running:
            self.job.stop()
            self.job.wait(20)
        self.book.held = False
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

    def _read_guesses(self) -> bool:
        """Reads what a round has said; True where it is new."""
        try:
            stat = (self.items.root / rounds.LABELS).stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
        except OSError:
            stamp = None
        if stamp == self._guessed:
            return False
        self._guessed = stamp
        try:
            self.guesses = rounds.read_guesses(self.items)
        except DecError as error:
            self.guesses, self.book.trouble = None, str(error)
        return True

    def _reviewed(self) -> dict:
        try:
            return json.loads((self.items.root / "reviewed.json").read_text())
        except (OSError, ValueError):
            return {}

    def _note_round(self) -> None:
        """Keeps how many photos have been looked at before the next round."""
        root = self.items.root
        number = 1 + max((r["round"] for r in rounds.rounds(root, {})), default=0)
        state = self.book.state
        count = sum(state.looked_at(i) for i in state.cluster)
        text = json.dumps(self._reviewed() | {str(number): count})
        write_text_atomic(root / "reviewed.json", text + "\n")


class Json(JSONResponse):
    """Names may hold bytes that are not UTF-8, which only escapes can carry."""

    def render(self, content: object) -> bytes:
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def application(desk: Desk) -> Starlette:
    """What answers the browser; a Guard stands before it."""
    files = {path.name: path.read_bytes() for path in PAGE.iterdir()
             if path.suffix in _TYPES}  # fmt: skip

    async def page(request: Request) -> Response:
        return Response(files["index.html"], media_type="text/html")

    async def part(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise DecError("there is no such part of the page")
        return Response(files[name], media_type=_TYPES[Path(name).suffix])

    async def state(request: Request) -> Response:
        return Json(await run_in_threadpool(desk.state))

    async def guesses(request: Request) -> Response:
        return Json(await run_in_threadpool(desk.guessed))

    async def learned(request: Request) -> Response:
        return Json(await run_in_threadpool(desk.rounds))

    async def doubtful(request: Request) -> Response:
        count = request.query_params.get("count", "")
        count = min(int(count), 10_000) if count.isdigit() else 100
        return Json(await run_in_threadpool(desk.doubtful, count))

    async def names(request: Request) -> Response:
        wanted = request.query_params.get("items", "").split(",")[:_MOST_NAMES]
        numbers = [desk.number_of(word) for word in wanted]
        return Json([printable(desk.items.names[i]) for i in numbers])

    async def item(request: Request) -> Response:
        number = desk.number_of(request.path_params["item"])
        return Json(await run_in_threadpool(desk.item, number))

    async def near(request: Request) -> Response:
        clusters = dict(desk.book.state.cluster)
        return Json(await run_in_threadpool(desk.code.near_clusters, clusters))

    async def text(request: Request) -> Response:
        number = desk.number_of(request.path_params["item"])
        return Json(await run_in_threadpool(desk.pictures.text, number))

    async def on_map(request: Request) -> Response:
        how, plane = await run_in_threadpool(desk.code.map)
        plane = np.rint(plane * 65535).astype(int).ravel().tolist()
        return Json({"how": how, "plane": plane})

    async def thumbnail(request: Request) -> Response:
        number = desk.number_of(request.path_params["item"])
        content, kind = await desk.thumbnail(number)
        keep = {"cache-control": "private, max-age=3600"}
        return Response(content, media_type=kind, headers=keep)

    async def photo(request: Request) -> Response:
        number = desk.number_of(request.path_params["item"])
        content, kind = await run_in_threadpool(desk.pictures.large, number)
        return Response(content, media_type=kind)

    async def answer(request: Request) -> Response:
        told = await run_in_threadpool(desk.answer, await _json(request))
        if told["changes"]:
            desk.tell("change", told)
        return Json(told)

    async def start(request: Request) -> Response:
        facts = await _json(request)
        what = "train" if request.url.path.endswith("train") else "export"
        await run_in_threadpool(desk.start, what, facts)
        return Json(desk.progress())

    async def stop(request: Request) -> Response:
        if desk.job and desk.job.running:
            desk.job.stop()
        return Json(desk.progress())

    async def events(request: Request) -> Response:
        async def told():
            with desk.page() as queue:
                yield ": open\n\n"
                while True:
                    try:
                        yield await asyncio.wait_for(queue.get(), 15)
                    except TimeoutError:
                        yield ": still here\n\n"

        return StreamingResponse(told(), media_type="text/event-stream")

    async def mistake(request: Request, error: Exception) -> Response:
        return Json({"error": str(error)}, status_code=400)

    @contextlib.asynccontextmanager
    async def alive(app: Starlette):
        work = asyncio.create_task(desk.step())
        try:
            yield
        finally:
            work.cancel()

    return Starlette(
        routes=[
            Route("/", page),
            Route("/page/{name}", part),
            Route("/api/state", state),
            Route("/api/guesses", guesses),
            Route("/api/rounds", learned),
            Route("/api/doubtful", doubtful),
            Route("/api/names", names),
            Route("/api/item/{item}", item),
            Route("/api/text/{item}", text),
            Route("/api/near", near),
            Route("/api/map", on_map),
            Route("/api/events", events),
            Route("/thumbnail/{item}", thumbnail),
            Route("/photo/{item}", photo),
            Route("/api/answer", answer, methods=["POST"]),
            Route("/api/train", start, methods=["POST"]),
            Route("/api/export", start, methods=["POST"]),
            Route("/api/stop", stop, methods=["POST"]),
        ],
        exception_handlers={DecError: mistake},
        lifespan=alive,
    )


async def _json(request: Request) -> dict:
    try:
        return await request.json()
    except ValueError:
        raise DecError("this is no JSON") from None
