"""How quick the page of `dec review` is, in a real browser; no test asserts it.

    .venv/bin/python benchmarks/review/bench.py --photos 100000

Makes so many small photos (500 different ones, by hard links) in random clusters,
starts `dec review` and headless Chromium, and prints a table: the first screen, key
presses, scrolling, the map, memory.
"""

import argparse
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from review_samples import Page, Server, browser  # noqa: E402

from dec.base.machine import machine  # noqa: E402
from dec.base.tables import write_table  # noqa: E402

_DIFFERENT = 500
_SIZE = (300, 200)
_SCROLLED = 10_000  # thumbnails
_PRESSES = 200
_ALL = 10**9  # pixels: to the end
_SCROLLS = (  # what, pixels in all, pixels a frame
    ("scrolled fast, not made yet", _ALL, 200),
    ("scrolled fast", _ALL, 200),
    ("slowly, not made yet", 12_000, 40),
    ("slowly", 12_000, 40),
)
_READY = """
const done = arguments[arguments.length - 1];
const seen = () => {
  const { top, bottom } = document.getElementById('grid').getBoundingClientRect();
  const images = [...document.querySelectorAll('#grid .cell img')].filter((image) => {
    const at = image.getBoundingClientRect();
    return at.bottom > top && at.top < bottom;
  });
  const all = document.body.dataset.ready === 'true' && images.length &&
    images.every((image) => image.complete && image.naturalWidth);
  if (all) requestAnimationFrame(() => done(performance.now()));
  else setTimeout(seen, 10);
};
seen();
"""
# From the key's own time stamp to the frame after the photo shows its class (pale), and
# to the frame after the page knows that the answer is on disk.
_LISTEN = """
window.presses = { shown: [], kept: [] };
const grid = document.getElementById('grid');
let [began, number, waiting] = [0, grid.dataset.number, []];
document.addEventListener('keydown', (event) => {
  began = event.timeStamp;
  waiting = ['shown', 'kept'];
}, true);
const seen = (what) => {
  if (!waiting.includes(what)) return;
  waiting = waiting.filter((other) => other !== what);
  const from = began;
  requestAnimationFrame(() => setTimeout(
    () => presses[what].push(performance.now() - from)));
};
new MutationObserver((records) => {
  if (records.some(({ target }) => target.classList.contains('hoped'))) seen('shown');
  if (grid.dataset.number !== number) seen('kept');
  number = grid.dataset.number;
}).observe(grid, { attributes: true, subtree: true,
  attributeFilter: ['data-number', 'class'] });
"""
_SCROLL = """
const [rows, speed, done] = arguments;
const grid = document.getElementById('grid');
const frames = [];
let before = 0;
const step = (now) => {
  if (before) frames.push(now - before);
  before = now;
  grid.scrollTop += speed;
  const end = Math.min(rows, grid.scrollHeight - grid.clientHeight - 1);
  if (grid.scrollTop < end) {
    requestAnimationFrame(step);
  } else done(frames);
};
grid.scrollTop = 0;
requestAnimationFrame(step);
"""
_MAP = """
const done = arguments[arguments.length - 1];
import('/page/map.js').then(async ({ plane }) => {
  const n = arguments[0];
  plane.points = Float32Array.from({ length: 2 * n }, () => Math.random());
  plane.ready = true;
  const times = [];
  for (let i = 0; i < 30; i++) {
    plane.zoom = 1 + i / 10;
    const from = performance.now();
    plane._paint();
    times.push(performance.now() - from);
  }
  done(times);
});
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000, metavar="N")
    parser.add_argument("--clusters", type=int, default=50, metavar="K")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dec-bench-") as folder:
        table = _photos(Path(folder), options.photos, options.clusters)
        measured = _measured(Path(folder), table, options.photos)
    facts = machine()
    print(f"{options.photos:,} photos in {options.clusters} clusters; "
          f"{facts['processor']}, {facts['cores']} cores, Python "
          f"{platform.python_version()}")  # fmt: skip
    width = max(len(what) for what, _ in measured)
    for what, value in measured:
        print(f"{what:{width}}  {value}")


def _photos(folder: Path, count: int, clusters: int) -> Path:
    """Photos of noise and colour, and a table of clusters drawn at random."""
    rng = np.random.default_rng(1)
    photos = folder / "photos"
    photos.mkdir()
    for i in range(min(count, _DIFFERENT)):
        small = rng.integers(0, 256, (10, 15, 3), np.uint8)
        image = Image.fromarray(small).resize(_SIZE, Image.Resampling.BICUBIC)
        image.save(photos / f"{i:06}.jpg", quality=90)
    for i in range(_DIFFERENT, count):
        (photos / f"{i:06}.jpg").hardlink_to(photos / f"{i % _DIFFERENT:06}.jpg")
    # One cluster is large enough to be scrolled through.
    drawn = rng.integers(1, clusters, count)
    drawn[: min(count // 2, _SCROLLED)] = 0
    rows = ((f"{i:06}.jpg", c) for i, c in enumerate(drawn.tolist()))
    write_table(folder / "clusters.csv", [("file", "cluster"), *rows])
    return folder / "clusters.csv"


def _measured(folder: Path, table: Path, count: int) -> list[tuple[str, str]]:
    found = []
    began = time.monotonic()
    with (
        Server(folder, table, "--photos", folder / "photos") as server,
        browser(1280, 860) as driver,
    ):
        driver.set_script_timeout(300)
        started = time.monotonic() - began
        found.append(("dec review and the browser start", f"{started:.1f} s"))
        driver.get(server.address)
        first = driver.execute_async_script(_READY)
        found.append(("first screen, thumbnails not made yet", f"{first:.0f} ms"))
        again = []
        for _ in range(5):
            driver.get(server.base + "/")
            again.append(driver.execute_async_script(_READY))
        found.append(("first screen, thumbnails made", _of(again, "ms")))

        page = Page(driver, server.base + "/")
        page.answer("n", "one", "\n")
        page.group("cluster", "1")
        page.answer("n", "two", "\n")
        page.group("cluster", "2")
        driver.execute_script(_LISTEN)
        for i in range(_PRESSES):
            page.answer("12x"[i % 3])
        presses = driver.execute_script("return presses")
        for what, name in (("shown", "shown"), ("kept", "shown as on disk")):
            found.append((f"a key press, {name}", _of(presses[what], "ms")))

        page.group("cluster", "0")
        scrolled = min(_SCROLLED, count // 2)
        for what, pixels, speed in _SCROLLS:
            frames = driver.execute_async_script(_SCROLL, pixels, speed)
            name = f"frames, {scrolled:,} thumbnails, {what}"
            found.append((name, _of(frames, "ms")))

        page.click("tab-map")
        time.sleep(1)
        times = driver.execute_async_script(_MAP, count)
        found.append((f"the map, {count:,} points drawn", _of(times, "ms")))
        found.append(("memory of the server", f"{server.memory() / 1e6:.0f} MB"))
        heap = driver.execute_script("return performance.memory.usedJSHeapSize")
        found.append(("memory of the page's scripts", f"{heap / 1e6:.0f} MB"))
    return found


def _of(values: list[float], unit: str) -> str:
    """Median, 95th percentile and largest."""
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return (
        f"median {statistics.median(ordered):.0f} {unit}, 95% below {high:.0f} {unit}, "
        f"largest {ordered[-1]:.0f} {unit} (of {len(ordered)})"
    )


if __name__ == "__main__":
    main()
