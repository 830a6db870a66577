"""What the tests of dec.review share: runs to review, the server, and a browser."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from fake_run import fake_run
from finetune_samples import command

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\?token=\S+")


def photo_run(root: Path, photos: Path, k: int = 4, names=None) -> Path:
    """A run of DEC, made up, on the photos of a folder; returns its folder."""
    names = names or sorted(str(p.relative_to(photos)) for p in photos.rglob("*.jpg"))
    rows = np.random.default_rng(1).random((len(names), 4)).astype(np.float32)
    facts = {"kind": "photos", "folder": str(photos), "photos": {}}
    return fake_run(root, rows, k, names=names, **facts)


class Server:
    """`dec review` in a folder, with these words; use it in `with`."""

    def __init__(self, folder: Path, *words: object):
        self.folder, self.words = folder, words
        self.log = folder / "review.log"

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *error) -> None:
        self.stop()

    def start(self) -> None:
        with open(self.log, "w") as log:
            self._child = subprocess.Popen(
                command("review", *self.words, "--no-browser"),
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        self.address = self._wait_for_address()
        self.base = self.address.split("/?")[0]

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def stop(self) -> int:
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)
        return self._child.wait(60)

    def memory(self) -> int:
        """Bytes that it has in memory."""
        pages = Path(f"/proc/{self._child.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def next_address(self) -> str:
        return _ADDRESS.findall(self.log.read_text())[-1]

    def _wait_for_address(self) -> str:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            found = _ADDRESS.search(self.log.read_text())
            if found:
                return found[0]
            if self._child.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())


@contextlib.contextmanager
def browser(width: int = 1280, height: int = 860, dark: bool = False):
    """A headless Chromium; skips the test where there is none."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("there is no Chromium with its driver (make browser)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage",
        "hide-scrollbars",
    ):  # fmt: skip
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    look(driver, width, height, dark)
    try:
        yield driver
    finally:
        driver.quit()


def look(driver, width: int, height: int, dark: bool = False) -> None:
    """Makes the window so large, and the user one who wants it dark or light."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1}
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", size | {"mobile": width < 600}
    )
    wanted = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wanted]})


class Page:
    """The page as somebody at the keyboard uses it."""

    def __init__(self, driver, address: str):
        self.driver = driver
        driver.get(address)
        self.until("document.body.dataset.ready === 'true'")

    def js(self, code: str, *facts):
        return self.driver.execute_script(code, *facts)

    def until(self, condition: str, seconds: float = 20) -> None:
        """Waits until an expression of JavaScript is true."""
        end = time.monotonic() + seconds
        while not self.js(f"return Boolean({condition})"):
            said = self.js("return document.getElementById('status')?.innerText")
            assert time.monotonic() < end, f"{condition} did not come true; {said}"
            time.sleep(0.02)

    def keys(self, *keys: str) -> None:
        """Types; Shift and Control are held until Keys.NULL."""
        from selenium.webdriver import ActionChains, Keys

        actions, held = ActionChains(self.driver, 0), []
        for key in keys:
            if key in (Keys.SHIFT, Keys.CONTROL):
                actions.key_down(key)
                held.append(key)
            elif key == Keys.NULL:
                while held:
                    actions.key_up(held.pop())
            else:
                actions.send_keys(key)
        actions.perform()

    def answer(self, *keys: str) -> None:
        """Keys that make an answer; returns when the page shows it."""
        before = self.number()
        self.keys(*keys)
        self.after(before)

    def after(self, before: str) -> None:
        self.until(f"document.getElementById('counts').dataset.number != '{before}'")

    def number(self) -> str:
        return self.js("return document.getElementById('counts').dataset.number")

    def text(self, at: str) -> str:
        return self.js("return document.getElementById(arguments[0]).innerText", at)

    def click(self, at: str) -> None:
        self.driver.find_element("id", at).click()

    def group(self, kind: str, key: str = "") -> None:
        """Opens a cluster, a class or the doubtful."""
        where = f'#groups button[data-kind="{kind}"][data-key="{key}"]'
        self.js("document.querySelector(arguments[0]).click()", where)
        self.until(f"document.querySelector('{where}[aria-current]')")

    def groups(self) -> list[str]:
        return self.js(
            "return [...document.querySelectorAll('#groups .label')]"
            ".map((label) => label.innerText.replace('\\n', ' | '))"
        )

    def cells(self) -> list[str]:
        """What a screen reader says of the photos that can be seen."""
        return self.js(
            "return [...document.querySelectorAll('#grid .cell')].sort((a, b) =>"
            " a.dataset.at - b.dataset.at).map((cell) => cell.ariaLabel)"
        )

    def named(self) -> None:
        """Waits until the photos that can be seen have their names."""
        self.until(
            "document.querySelectorAll('#grid .cell[aria-label^=\"number \"]')"
            ".length === 0"
        )

    def complaints(self) -> list[str]:
        """What the browser has complained about since this was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
