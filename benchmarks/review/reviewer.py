"""A reviewer at the keyboard of the page, who knows the true class folders.

    .venv/bin/python benchmarks/review/reviewer.py FOLDER --photos photos/
    .venv/bin/python benchmarks/review/reviewer.py FOLDER --pictures

Runs DEC on the photos, looks at both ends of each cluster, splits those that are mixed,
names the others by what most of the photos are, and accepts the first that is of one
class. Then it trains, says of the most doubtful what they are, and trains again. After
each step it prints for how many photos the net is right, by the true folders, and the
minutes by the clock. Without --photos the photos are drawings. --pictures: keeps those
of docs/review.md. FOLDER gets the run; the weights of SqueezeNet are needed
(docs/finetune.md).
"""

import argparse
import io
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from drawings import draw_all
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from finetune_samples import command  # noqa: E402
from review_samples import Page, Server, browser  # noqa: E402

from dec.base.tables import read_columns  # noqa: E402

DOCS = ROOT / "docs"
_QUALITY = 70
_ENTER = "\ue007"
_CLEAR, _FEW = 0.85, 20  # a cluster that is less of one class is split, if it is larger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=Path, help="class folders")
    parser.add_argument("--clusters", type=int, default=12)
    parser.add_argument("--doubtful", type=int, default=40, help="reviewed a round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pictures", action="store_true")
    options = parser.parse_args()
    folder = options.folder.resolve()
    photos = options.photos and options.photos.resolve()
    if photos is None:
        photos = folder / "drawings"
        if not photos.exists():
            draw_all(photos)
    run = folder / "run"
    words = ("run", "photos", "--from", photos, "--clusters", options.clusters)
    began = time.monotonic()
    more = ("--run", "run", "--seed", options.seed)
    subprocess.run(command(*words, *more), cwd=folder, check=True)
    print(f"dec run: {time.monotonic() - began:.0f} s", flush=True)
    with Server(folder, "run") as server:
        with browser(1280, 800) as driver:
            reviewer = Reviewer(Page(driver, server.address), run, options.pictures)
            reviewer.name_clusters()
            if options.pictures:
                reviewer.show_map()
            for _ in range(options.rounds):
                reviewer.train()
                reviewer.look_at_doubtful(options.doubtful)
            reviewer.end()
        if options.pictures:
            with browser(390, 800, dark=True) as driver:
                page = Page(driver, server.next_address())
                Reviewer(page, run, True).keep("phone")


class Reviewer:
    """Reads names as somebody would look at photos: the class is the last folder."""

    def __init__(self, page: Page, run: Path, pictures: bool):
        self.page, self.run, self.pictures = page, run, pictures
        self.answers, self.accepted = 0, False
        self.began = time.monotonic()

    def name_clusters(self) -> None:
        left = self._clusters()
        while left:
            key = left.pop(0)
            self.page.group("cluster", key)
            counts = self._ends()
            label, count = counts.most_common(1)[0]
            if count < _CLEAR * counts.total() and counts.total() > _FEW:
                before = self._clusters()
                self._answer("s")
                left += [key, *(set(self._clusters()) - set(before))]
                continue
            self._answer("n", label, _ENTER)
            if count == counts.total() and not self.accepted:
                self._answer("a")
                self.accepted = True
        self._say("clusters named")
        if self.pictures:
            sizes = self.page.js(
                "return [...document.querySelectorAll('#groups [data-kind=cluster]')]"
                ".map((b) => [parseInt(b.querySelector('small').innerText), "
                "b.dataset.key])"
            )
            self.page.group("cluster", max(sizes)[1])
            time.sleep(4)  # what the page says of an answer goes away
            self.keep("sort")

    def _clusters(self) -> list[str]:
        return self.page.js(
            "return [...document.querySelectorAll('#groups [data-kind=cluster]')]"
            ".map((button) => button.dataset.key)"
        )

    def _ends(self) -> Counter:
        """What the most typical and the least certain photos of a cluster are."""
        counts: Counter = Counter()
        for _ in range(2):
            self.page.named()
            counts += Counter(_true(cell) for cell in self.page.cells())
            self.page.keys("l")
        return counts

    def show_map(self) -> None:
        from selenium.webdriver import ActionChains

        page = self.page
        page.click("tab-map")
        page.until(
            "document.getElementById('map-how').innerText.includes('points')", 99
        )
        page.js("document.getElementById('map-colour').value = 'class';"
                "document.getElementById('map-colour').onchange()")  # fmt: skip
        canvas = page.driver.find_element("id", "canvas")
        page.click("lasso")
        actions = ActionChains(page.driver, 20)
        actions.move_to_element_with_offset(canvas, -60, -90).click_and_hold()
        for x, y in ((150, 0), (60, 140), (-160, 60), (-110, -110)):
            actions.move_by_offset(x, y)
        actions.release().perform()
        time.sleep(1)
        self.keep("map")

    def train(self) -> None:
        page = self.page
        page.click("tab-learn")
        page.until("!document.getElementById('train').disabled", 60)
        page.click("train")
        work = "document.getElementById('work').innerText"
        page.until(f"{work}.includes('at work')", 60)
        page.until(f"!{work}.includes('at work')", 500)
        assert "done" in page.text("work"), page.text("lines")
        page.until("document.querySelector('#rounds td')", 60)
        time.sleep(2)
        print(page.text("rounds").splitlines()[-1])
        self._say("trained")

    def look_at_doubtful(self, count: int) -> None:
        page = self.page
        page.click("to-doubtful")
        page.until("document.querySelectorAll('#grid .said.guess').length > 0", 60)
        for i in range(count):
            focus = "document.querySelector('#grid .focus')?.ariaLabel"
            page.until(f"{focus} && !{focus}.startsWith('number ')")
            self._answer("m", _true(page.js(f"return {focus}")), _ENTER)
            if i == count // 4:
                self.keep("doubtful")
        self._say("doubtful looked at")

    def end(self) -> None:
        page = self.page
        page.keys(_ENTER)
        page.until("document.querySelector('#zoom-near img')?.complete", 60)
        time.sleep(1)
        self.keep("zoom")
        page.keys("\ue00c")
        page.click("tab-learn")
        page.until("document.querySelector('#rounds td')", 60)
        time.sleep(1)
        page.js("document.getElementById('learn').scrollTop = 1e6")
        self.keep("train")

    def keep(self, name: str) -> None:
        """A picture of the page for docs/review.md."""
        if not self.pictures:
            return
        self.page.until(
            "[...document.querySelectorAll('.cell img')].every((i) => i.complete)"
        )
        time.sleep(1)
        picture = Image.open(io.BytesIO(self.page.driver.get_screenshot_as_png()))
        picture = picture.convert("RGB")
        picture.save(DOCS / f"review-{name}.jpg", quality=_QUALITY, optimize=True)

    def _answer(self, *keys: str) -> None:
        self.page.answer(*keys)
        self.answers += 1

    def _say(self, what: str) -> None:
        minutes = (time.monotonic() - self.began) / 60
        words = f"{minutes:.1f} min: {what}; {self.answers} answers"
        labels = self.run / "review/labels.csv"
        if labels.exists():
            time.sleep(3)  # the tables are written when there are no answers
            answers = self.run / "review/answers.csv"
            seen = {name for _, (name,) in read_columns(answers, ("file",))}
            right = {True: [], False: []}
            for _, (file, label) in read_columns(labels, ("file", "class")):
                known = any(file.endswith("/" + name) for name in seen)
                right[known].append(label == Path(file).parent.name)
            every, new = right[True] + right[False], right[False]
            words += f"; the net is right for {sum(every)} of {len(every)} photos, and"
            words += f" for {sum(new)} of the {len(new)} that nobody has looked at"
        print(words, flush=True)


def _true(cell: str) -> str:
    """The class of a photo, from what a screen reader says of it: name, class."""
    return cell.split(", ")[0].rsplit("/", 2)[-2]


if __name__ == "__main__":
    main()
