"""The page's server: what the browser asks of a review, as JSON and pictures.

Starlette and uvicorn: the smallest well-kept pair that serves JSON, pictures and a
stream of events in one process, in pure Python. The browser speaks of items by their
numbers and of clusters and classes by words; no word of it becomes a file's path.
"""

import asyncio
import contextlib
from pathlib import Path

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from dec.base.errors import DecError
from dec.base.files import printable
from dec.review.desk import Desk, to_json

PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript",
          ".svg": "image/svg+xml"}  # fmt: skip
_MOST_NAMES = 500  # in one answer
_MOST_DOUBTFUL = 10_000
_ALIVE = 15  # seconds after which a page hears that the server is there


class Json(JSONResponse):
    def render(self, content: object) -> bytes:
        return to_json(content)


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
        content = await run_in_threadpool(desk.state)
        return Response(content, media_type="application/json")

    async def guesses(request: Request) -> Response:
        return Json(await run_in_threadpool(desk.learning.guessed))

    async def learned(request: Request) -> Response:
        return Json(await run_in_threadpool(desk.learning.rounds))

    async def doubtful(request: Request) -> Response:
        count = request.query_params.get("count", "")
        count = min(int(count), _MOST_DOUBTFUL) if count.isdigit() else 100
        return Json(await run_in_threadpool(desk.learning.doubtful, count))

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
        await run_in_threadpool(desk.learning.start, what, facts)
        return Json(desk.learning.progress())

    async def stop(request: Request) -> Response:
        desk.learning.stop()
        return Json(desk.learning.progress())

    async def events(request: Request) -> Response:
        async def told():
            with desk.page() as queue:
                yield ": open\n\n"
                while True:
                    try:
                        yield await asyncio.wait_for(queue.get(), _ALIVE)
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
