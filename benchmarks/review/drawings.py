"""Drawings in class folders: flowers, houses, fish, boats. Nobody's photos.

    .venv/bin/python benchmarks/review/drawings.py drawings/

docs/review.md has its pictures from these (reviewer.py).
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = (300, 200)
EACH = 60
_TWICE = 2  # drawn larger, for smooth edges


def draw_all(folder: Path, each: int = EACH, seed: int = 1) -> None:
    """folder/<class>/<number>.jpg, `each` of every class."""
    rng = np.random.default_rng(seed)
    for kind, draw in _KINDS.items():
        (folder / kind).mkdir(parents=True)
        for i in range(each):
            image = Image.new("RGB", tuple(_TWICE * side for side in SIZE))
            draw(image, ImageDraw.Draw(image), rng)
            image = image.resize(SIZE, Image.Resampling.LANCZOS)
            image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8)))
            pixels = np.asarray(image) + rng.normal(
                0, rng.uniform(2, 9), (*SIZE[::-1], 3)
            )
            pixels = np.clip(pixels * rng.uniform(0.8, 1.1), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(
                folder / kind / f"{kind}-{i:02}.jpg", quality=90
            )


def _colour(rng, low=0, high=256) -> tuple[int, ...]:
    return tuple(int(x) for x in rng.integers(low, high, 3))


def _ground(image, top, bottom) -> None:
    mix = np.linspace(0, 1, image.height)[:, None, None]
    rows = (1 - mix) * np.array(top) + mix * np.array(bottom)
    whole = np.broadcast_to(rows, (image.height, image.width, 3)).astype(np.uint8)
    image.paste(Image.fromarray(whole))


def _flower(image, pen, rng) -> None:
    green = rng.integers(40, 110)
    _ground(image, (green, green + 60, green - 20), (20, green + 20, 20))
    for _ in range(30):
        x, y = rng.uniform(0, image.width), rng.uniform(0, image.height)
        pen.line((x, y, x + rng.normal(0, 30), y - 80), (30, green + 80, 40), 5)
    for _ in range(int(rng.integers(1, 5))):
        x, y = (
            rng.uniform(0.2, 0.8) * image.width,
            rng.uniform(0.25, 0.75) * image.height,
        )
        petals, r = int(rng.integers(5, 13)), rng.uniform(40, 120)
        colour, turn = _colour(rng, 120), rng.uniform(0, 6)
        for angle in turn + np.arange(petals) * 2 * np.pi / petals:
            a, b = x + r * 0.7 * np.cos(angle), y + r * 0.7 * np.sin(angle)
            pen.ellipse(
                (a - r / 3, b - r / 3, a + r / 3, b + r / 3), colour, (60, 30, 40)
            )
        pen.ellipse((x - r / 3, y - r / 3, x + r / 3, y + r / 3), (230, 190, 40))


def _house(image, pen, rng) -> None:
    _ground(image, (140, 180, rng.integers(200, 256)), (225, 235, 240))
    base = rng.uniform(0.75, 0.9) * image.height
    pen.rectangle(
        (0, base, image.width, image.height), (90, 120 + int(rng.integers(60)), 70)
    )
    for _ in range(int(rng.integers(1, 4))):
        x, w, h = (
            rng.uniform(0, 0.7) * image.width,
            rng.uniform(120, 240),
            rng.uniform(90, 200),
        )
        pen.rectangle((x, base - h, x + w, base), _colour(rng, 130), (40, 40, 40), 3)
        roof = (
            (x - 15, base - h),
            (x + w / 2, base - h - rng.uniform(50, 110)),
            (x + w + 15, base - h),
        )
        pen.polygon(roof, (rng.integers(110, 190), 60, 50), (40, 40, 40))
        for i in range(3):
            a = x + w * (0.1 + 0.3 * i)
            pen.rectangle(
                (a, base - h * 0.8, a + w * 0.18, base - h * 0.5), (70, 90, 120)
            )
        pen.rectangle((x + w * 0.4, base - h * 0.35, x + w * 0.6, base), (90, 60, 40))


def _fish(image, pen, rng) -> None:
    _ground(image, (20, rng.integers(90, 170), 190), (10, 40, rng.integers(70, 120)))
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(0.2, 0.8) * image.width, rng.uniform(0.2, 0.8) * image.height
        w, h = rng.uniform(60, 150), rng.uniform(30, 70)
        way, colour = rng.choice([-1, 1]), _colour(rng, 110)
        tail = (
            (x - way * w * 0.8, y),
            (x - way * w * 1.4, y - h),
            (x - way * w * 1.4, y + h),
        )
        pen.polygon(tail, colour)
        pen.ellipse((x - w, y - h, x + w, y + h), colour, (30, 40, 60), 3)
        for i in range(3):
            a = x - w / 2 + i * w / 3
            pen.line((a, y - h * 0.7, a, y + h * 0.7), _colour(rng), 8)
        a = x + way * w * 0.65
        pen.ellipse((a - 9, y - 16, a + 9, y + 2), (250, 250, 250), (0, 0, 0))
    for _ in range(12):
        x, y, r = (
            rng.uniform(0, image.width),
            rng.uniform(0, image.height),
            rng.uniform(3, 9),
        )
        pen.ellipse((x - r, y - r, x + r, y + r), None, (200, 230, 240), 2)


def _boat(image, pen, rng) -> None:
    _ground(image, (240, rng.integers(150, 230), 160), (250, 230, 210))
    sea = rng.uniform(0.55, 0.75) * image.height
    pen.rectangle((0, sea, image.width, image.height), (30, 80, 110 + rng.integers(60)))
    sun = rng.uniform(0, 1) * image.width
    pen.ellipse((sun - 40, sea - 60, sun + 40, sea + 20), (250, 170, 70))
    pen.rectangle((0, sea + 1, image.width, sea + 60), (40, 90, 130))
    for _ in range(int(rng.integers(1, 4))):
        x, w = rng.uniform(0.15, 0.85) * image.width, rng.uniform(50, 110)
        hull = (
            (x - w, sea),
            (x + w, sea),
            (x + w * 0.7, sea + w / 2),
            (x - w * 0.7, sea + w / 2),
        )
        pen.polygon(hull, _colour(rng, 30, 150), (20, 20, 20))
        high = rng.uniform(1.4, 2.4) * w
        pen.line((x, sea, x, sea - high), (60, 40, 30), 6)
        pen.polygon(
            ((x + 6, sea - 12), (x + 6, sea - high), (x + w, sea - 12)),
            _colour(rng, 170),
        )
        pen.polygon(
            ((x - 6, sea - 12), (x - 6, sea - high * 0.8), (x - w * 0.7, sea - 12)),
            (245, 245, 235),
        )
    for _ in range(25):
        x, y = rng.uniform(0, image.width), rng.uniform(sea + 10, image.height)
        pen.arc((x, y, x + 40, y + 14), 0, 180, (150, 190, 220), 3)


_KINDS = {"boats": _boat, "fish": _fish, "flowers": _flower, "houses": _house}

if __name__ == "__main__":
    draw_all(Path(sys.argv[1]))
