"""The tables of what has been measured; at most 100 columns wide."""

import json
import statistics
import textwrap
from pathlib import Path

import pieces
from lines import LARGE, Line

_WIDTH = 100
_MEMORY_LIMIT = 1.20
_BFLOAT16_TARGET = 1.50
_BUSY = 0.05


def tables(out: Path, lines: tuple[Line, ...]) -> str:
    """All tables; a line without measurements has dashes."""
    large = _large(out)
    found = [(line, *_line(out, line)) for line in lines]
    parts = [
        _speeds(found, large),
        _bfloat16(found),
        _times(found),
        _memory(found),
        _shapes(found, large),
        _on(out),
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def _read(folder: Path, pattern: str) -> dict[int, dict]:
    """Results by turn, of which one side and batch has one each."""
    files = {
        int(f.name.split("-")[0]): f for f in folder.glob(f"[0-9]*-{pattern}.json")
    }
    return {turn: json.loads(files[turn].read_text()) for turn in sorted(files)}


def _line(out: Path, line: Line) -> tuple[dict, dict]:
    """A line's measurements by side and turn, of the batch that is fastest there;

    and its ceiling, by turns, of the batch that our fastest is with.
    """
    sides: dict[str, dict[int, dict]] = {}
    for side in line.sides():
        options = [_read(out / line.key, f"{side}-{batch}") for batch in line.batches]
        sides[side] = max(options, key=lambda turns: _best(turns) or 0.0)
    ours = next(iter(sides["ours"].values()), None)
    if ours is None:
        return sides, {}
    ceilings = _read(out / line.key, f"ceiling-{ours['job']['batch']}")
    # Those of an earlier program lack a part of it.
    return sides, {t: result for t, result in ceilings.items() if "cold" in result}


def _best(turns: dict[int, dict]) -> float | None:
    return max((result["best"] for result in turns.values()), default=None)


def _pytorch(sides: dict) -> tuple[str, dict[int, dict]]:
    """Which of PyTorch's variants is fastest, and its measurements."""
    variants = {s: turns for s, turns in sides.items() if s.startswith("torch")}
    name = max(variants, key=lambda side: _best(variants[side]) or 0.0)
    return name, variants[name]


def _ratio(sides: dict) -> float | None:
    """The median over the turns of ours / PyTorch, each turn's own median step."""
    theirs = _pytorch(sides)[1]
    ratios = [
        ours["median"] / theirs[turn]["median"]
        for turn, ours in sides["ours"].items()
        if turn in theirs
    ]
    return statistics.median(ratios) if ratios else None


def _speeds(found: list, large: float | None) -> list[str]:
    rows = [
        "SPEED: images or rows a second, the more the better",
        f"{'':27}{'best of all turns':^25}|{'ours / PyTorch':^20}|"
        f"{'ceiling: parts':^17}|{'product':>8}",
        f"{'':27}{'stock':>8}{'ours':>8}{'PyTorch':>8} |{'median':>7}{'best':>6}"
        f"{'target':>7}|{'a second':>9}{'reached':>8}|{'reached':>8}",
    ]
    for line, sides, ceiling in found:
        stock, ours = _best(sides["stock"]), _best(sides["ours"])
        name, turns = _pytorch(sides)
        theirs = _best(turns)
        mark = "*" if name.endswith("last") else " "
        limit = _ceiling(ceiling)
        flops = _flops(ceiling)
        of_large = ours * flops / large if ours and flops and large else None
        rows.append(
            f"{line.name:27}{_number(stock):>8}{_number(ours):>8}{_number(theirs):>8}"
            f"{mark}|{_fixed(_ratio(sides)):>7}{_fixed(_over(ours, theirs)):>6}"
            f"{line.target:7.2f}|{_number(limit):>9}{_percent(_over(ours, limit)):>8}"
            f"|{_percent(of_large):>8}"
        )
    return rows + textwrap.wrap(
        "Same net, cores, batch (embedding: each side's best), float32. Stock: Caffe's "
        "own layers. *: channels-last is the faster of PyTorch's layouts. Median: of "
        "the turns' ratios. Ceilings: parts, the matrix products and convolutions "
        "alone, each at the best of oneDNN, OpenBLAS and PyTorch; product, all "
        "operations at the speed of one large matrix product"
        + (f" ({large / 1e9:.0f} GFLOP/s)." if large else "."),
        _WIDTH,
    )


def _bfloat16(found: list) -> list[str]:
    rows = [
        "BFLOAT16: training with `bfloat16: true`, images or rows a second",
        f"{'':27}{'float32':>9}{'bfloat16':>10}{'median ratio':>14}{'target':>8}",
    ]
    for line, sides, _ in found:
        if "bfloat16" not in sides:
            continue
        ours, rounded = sides["ours"], sides["bfloat16"]
        ratios = [
            rounded[turn]["median"] / ours[turn]["median"]
            for turn in rounded
            if turn in ours
        ]
        rows.append(
            f"{line.name:27}{_number(_best(ours)):>9}{_number(_best(rounded)):>10}"
            f"{_fixed(statistics.median(ratios) if ratios else None):>14}"
            f"{_BFLOAT16_TARGET:8.2f}"
        )
    return rows


def _times(found: list) -> list[str]:
    """Where a step's time goes."""
    rows = [
        "TIME OF A STEP, milliseconds: its parts alone, at their best, and the rest of "
        "ours",
        f"{'':27}{'GFLOP':>7}{'convol.':>8}{'products':>9}{'(cold)':>8}{'update':>8}"
        f"{'others':>8}{'ours':>8}{'reached':>8}{'PyTorch':>9}",
    ]
    for line, sides, ceiling in found:
        ours, theirs = _best(sides["ours"]), _best(_pytorch(sides)[1])
        if not ours or not ceiling:
            continue
        batch = next(iter(sides["ours"].values()))["job"]["batch"]
        seconds = {kind: _seconds(ceiling, kind) for kind in _KINDS}
        cold = _seconds(ceiling, "product", "cold")
        parts = seconds["convolution"] + cold + seconds["update"]
        whole = batch / ours
        other = batch / theirs if theirs else None
        rows.append(
            f"{line.name:27}{_flops(ceiling) * batch / 1e9:7.2f}"
            f"{_ms(seconds['convolution']):>8}{_ms(seconds['product']):>9}"
            f"{_ms(cold):>8}{_ms(seconds['update']):>8}{_ms(whole - parts):>8}"
            f"{_ms(whole):>8}{_percent(parts / whole):>8}{_ms(other):>9}"
        )
    return rows + textwrap.wrap(
        "Cold: products whose weights come from memory, as they do in a step. Update: "
        "momentum and decay in one pass over weight, history and gradient. Others: "
        "what ours takes beyond convolutions, cold products and update: other layers "
        "(LRN, pooling, ReLU, dropout, loss), and what the parts lose in a net. "
        "Reached: those three, in ours.",
        _WIDTH,
    )


def _memory(found: list) -> list[str]:
    rows = [
        "MEMORY: the process's peak, MB (Python, libraries and weights included)",
        f"{'':27}{'stock':>9}{'ours':>9}{'PyTorch':>9}{'ours / stock':>15}{'limit':>8}",
    ]
    for line, sides, _ in found:
        stock, ours, theirs = (
            max((r["memory"] for r in turns.values()), default=None)
            for turns in (sides["stock"], sides["ours"], _pytorch(sides)[1])
        )
        rows.append(
            f"{line.name:27}{_number(stock):>9}{_number(ours):>9}{_number(theirs):>9}"
            f"{_fixed(_over(ours, stock)):>15}{_MEMORY_LIMIT:8.2f}"
        )
    return rows


def _shapes(found: list, large: float | None) -> list[str]:
    """The parts one by one: GFLOP/s of each pass, and what is fastest there."""
    rows = [
        "PARTS, one by one: GFLOP/s of the fastest (o oneDNN, b OpenBLAS, p PyTorch; "
        "w: Winograd, forward)",
        f"{'':52}{'forward':>10}{'to data':>10}{'to weights':>12}{'w':>8}",
    ]
    if large:
        name = f"product {LARGE} x {LARGE} x {LARGE}"
        rows.append(f"{name:52}{large / 1e9:9.0f}")
    seen = set()
    for _, _, ceiling in found:
        first = next(iter(ceiling.values()), None)
        for i, piece in enumerate(first["pieces"] if first else ()):
            shape = (piece["kind"], *piece["shape"])
            if piece["kind"] == "update" or shape in seen:
                continue
            seen.add(shape)
            text = f"{_shape(piece):52}"
            for width, letter in ((10, "f"), (10, "d"), (12, "w")):
                best = _part(ceiling, i, letter)
                if best is None:
                    text += f"{'-':>{width}}"
                else:
                    text += f"{piece['flop'] / best[0] / 1e9:{width - 2}.0f} {best[1]}"
            others = [r["seconds"][i].get("f", {}) for r in ceiling.values()]
            winograd = [s["winograd"] for s in others if "winograd" in s]
            if winograd:
                text += f"{piece['flop'] / min(winograd) / 1e9:8.0f}"
            rows.append(text)
    return rows


def _shape(piece: dict) -> str:
    if piece["kind"] == "product":
        n, inputs, outputs = piece["shape"]
        return f"product, batch {n}, {inputs} to {outputs}"
    n, groups, inputs, outputs, side, kernel, stride, _ = piece["shape"]
    text = f"{kernel} x {kernel}, batch {n}, {inputs} x {side} x {side} to {outputs}"
    text += f", stride {stride}" if stride > 1 else ""
    return text + (f", {groups} groups" if groups > 1 else "")


def _part(
    ceiling: dict, i: int, letter: str, caches: str = "seconds"
) -> tuple[float, str] | None:
    """The fastest of all turns of one pass of a piece: seconds, and a letter for it.

    caches: "seconds", as a call leaves them to the next, or "cold".
    """
    found = [
        pieces.fastest(result[caches][i][letter])
        for result in ceiling.values()
        if letter in result[caches][i]
    ]
    if not found:
        return None
    seconds, name = min(found)
    letters = {"direct": "o", "oneDNN": "o", "OpenBLAS": "b", "PyTorch": "p"}
    return seconds, letters.get(name, " ")


_KINDS = ("convolution", "product", "update")


def _seconds(ceiling: dict, kind: str, caches: str = "seconds") -> float:
    """Of all parts of one kind, each at its best."""
    first = next(iter(ceiling.values()))
    return sum(
        _part(ceiling, i, letter, caches)[0]
        for i, piece in enumerate(first["pieces"])
        if piece["kind"] == kind
        for letter in piece["passes"]
    )


def _ceiling(ceiling: dict) -> float | None:
    """Images or rows a second of products and convolutions alone."""
    if not ceiling:
        return None
    batch = next(iter(ceiling.values()))["job"]["batch"]
    return batch / (_seconds(ceiling, "convolution") + _seconds(ceiling, "product"))


def _flops(ceiling: dict) -> float | None:
    """Operations of an image or row."""
    if not ceiling:
        return None
    first = next(iter(ceiling.values()))
    whole = sum(piece["flop"] * len(piece["passes"]) for piece in first["pieces"])
    return whole / first["job"]["batch"]


def _large(out: Path) -> float | None:
    """FLOP/s of the large matrix product."""
    turns = _read(out / "large", "ceiling")
    if not turns:
        return None
    return 2 * LARGE**3 / _part(turns, 0, "f")[0]


def _on(out: Path) -> list[str]:
    """Machine, and how far the two sides were apart when they were compared."""
    files = sorted(out.rglob("*.json"))
    results = [json.loads(file.read_text()) for file in files]
    lines = {
        f"{r['machine']['processor']}, {r['job']['threads']} threads" for r in results
    }
    builds = {r["job"]["build"] for r in results}
    rows = [f"Measured on: {'; '.join(sorted(lines))}."]
    if len(builds) > 1:
        rows.append(f"Of {len(builds)} builds of Caffe: measure again what is older.")
    apart = [max(r["apart"].values()) for r in results if "apart" in r]
    if apart:
        rows += textwrap.wrap(
            f"Both sides compute the same: {len(apart)} comparisons of all blobs, "
            f"gradients and updates, at most {max(apart):.0e} apart (norm of the "
            "difference, in the norm).",
            _WIDTH,
        )
    others = [r["others"] for r in results if "others" in r]
    if others and max(others) > _BUSY:
        busy = sum(share > _BUSY for share in others)
        rows += textwrap.wrap(
            f"THE MACHINE WAS BUSY: in {busy} of {len(others)} "
            f"measurements others had more than {_BUSY:.0%} of it, up to "
            f"{max(others):.0%}. These ratios say little: threads that spin while they "
            "wait (PyTorch's do, Caffe's do not) lose far more by it.",
            _WIDTH,
        )
    return rows


def _over(a: float | None, b: float | None) -> float | None:
    return a / b if a and b else None


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def _fixed(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f}"
