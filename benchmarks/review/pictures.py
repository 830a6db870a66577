"""The pictures of docs/review.md: a review of drawings, from folder to trained net.

    .venv/bin/python benchmarks/review/pictures.py FOLDER

FOLDER gets the drawings, the run of DEC and the review; what is there is used again.
The weights of SqueezeNet are needed (docs/finetune.md).
"""

import io
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from drawings import draw_all
from PIL import Image
from selenium.webdriver import ActionChains

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from finetune_samples import command  # noqa: E402
from review_samples import Page, Server, browser  # noqa: E402

DOCS = ROOT / "docs"
_QUALITY = 82


def main() -> None:
    folder = Path(sys.argv[1])
    drawings, run = folder / "drawings", folder / "run"
    if not drawings.exists():
        draw_all(drawings)
    words = ("run", "photos", "--from", drawings, "--clusters", 7, "--run", run)
    subprocess.run(command(*words, "--seed", 1), cwd=folder, check=True)
    with Server(folder, run) as server:
        with browser(1280, 800) as driver:
            _review(Page(driver, server.address))
        with browser(390, 800, dark=True) as driver:
            page = Page(driver, server.next_address())
            _keep(page, "phone")


def _review(page: Page) -> None:
    began = time.monotonic()
    for key in [words.split(":")[0] for words in page.groups()]:
        page.group("cluster", key)
        page.named()
        label, count = Counter(_true(cell) for cell in page.cells()).most_common(1)[0]
        page.answer("n", label, "\n")
        if count == len(page.cells()):
            page.answer("a")
    _keep(page, "sort")
    page.click("tab-map")
    page.until("document.getElementById('map-how').innerText.includes('points')", 120)
    page.js("document.getElementById('map-colour').value = 'class';"
            "document.getElementById('map-colour').onchange()")  # fmt: skip
    canvas = page.driver.find_element("id", "canvas")
    page.click("lasso")
    actions = ActionChains(page.driver, 20).move_to_element_with_offset(
        canvas, -60, -90
    )
    actions.click_and_hold()
    for x, y in ((150, 0), (60, 140), (-160, 60), (-110, -110)):
        actions.move_by_offset(x, y)
    actions.release().perform()
    page.until("document.querySelectorAll('#map-grid .cell').length")
    time.sleep(1)
    _keep(page, "map")
    for _ in range(2):
        page.click("tab-learn")
        page.until("!document.getElementById('train').disabled")
        page.click("train")
        page.until("document.getElementById('work').innerText.includes('at work')")
        page.until(
            "!document.getElementById('work').innerText.includes('at work')", 400
        )
        page.click("to-doubtful")
        page.until("document.querySelectorAll('#grid .said.guess').length > 0", 60)
        page.named()
        _keep(page, "doubtful")
        for _ in range(20):
            focus = page.js("return document.querySelector('#grid .focus').ariaLabel")
            page.answer("m", _true(focus), "\n")
    page.click("tab-learn")
    page.until("document.querySelector('#curve svg')")
    _keep(page, "train")
    page.click("tab-sort")
    page.keys("\ue007")
    page.until("document.querySelector('#zoom-near img')?.complete")
    time.sleep(1)
    _keep(page, "zoom")
    print(f"{time.monotonic() - began:.0f} s; {page.text('counts')}")
    print(page.text("rounds"))


def _true(cell: str) -> str:
    """The class of a drawing: its folder."""
    return cell.split("/")[0]


def _keep(page: Page, name: str) -> None:
    page.until("[...document.querySelectorAll('.cell img, .face')].every((i) =>"
               " !i.src || i.complete || !i.offsetParent)")  # fmt: skip
    time.sleep(0.3)
    picture = Image.open(io.BytesIO(page.driver.get_screenshot_as_png()))
    picture.convert("RGB").save(DOCS / f"review-{name}.jpg", quality=_QUALITY)


if __name__ == "__main__":
    main()
