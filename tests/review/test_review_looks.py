"""How the page looks: in every window, to everybody; the map and the large view.

axe-core has to find no serious fault in any view of it.
"""

import pytest
from conftest import ROOT
from finetune_samples import make_photos
from review_samples import Page, Server, browser, look, photo_run
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

AXE = ROOT / "build/npm/node_modules/axe-core/axe.min.js"
_RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done(
  violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html).join(' | ')}`)));
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("looks")
    run = photo_run(folder, make_photos(folder / "photos", 8))
    with browser() as driver, Server(folder, run) as server:
        page = Page(driver, server.address)
        page.answer("n", "across", Keys.ENTER)
        page.answer("a")
        page.answer("x")
        page.answer("1")
        yield page, server


@pytest.fixture
def page(opened):
    """The page as it opens in an ordinary window."""
    page, server = opened
    look(page.driver, 1280, 860)
    return Page(page.driver, server.base + "/")


def faults(page) -> list[str]:
    # Nothing may be half faded in, which would be pale.
    page.until("document.getAnimations().length === 0")
    return page.driver.execute_async_script(_RUN)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1920])
def test_no_serious_fault(page, width, dark):
    if not AXE.exists():
        pytest.skip("there is no axe-core (make lint gets it from npm)")
    look(page.driver, width, 844, dark)
    page.js(AXE.read_text())
    found = {}
    for tab in ("map", "learn", "away", "sort"):
        page.click(f"tab-{tab}")
        if tab == "map":
            ready = "document.getElementById('map-how').innerText.includes('points')"
            page.until(ready, 60)
        found[tab] = faults(page)
    for dialog, key in (("help", "?"), ("ask", "m"), ("zoom", Keys.ENTER)):
        page.js("document.getElementById('grid').focus()")
        page.keys(key)
        page.until(f"document.getElementById('{dialog}').open")
        if dialog == "zoom":
            page.until("document.querySelector('#zoom-near button')")
        found[dialog] = faults(page)
        page.keys(Keys.ESCAPE)
        page.until(f"!document.getElementById('{dialog}').open")
    assert not any(found.values()), found


@pytest.mark.parametrize("width", [390, 1920])
def test_it_fits_the_window(page, width):
    look(page.driver, width, 844, dark=width < 1000)
    for tab in ("sort", "map", "learn", "away"):
        page.click(f"tab-{tab}")
        assert page.js("return document.documentElement.scrollWidth") <= width, tab
        # Every control that can be seen has a name.
        assert (
            page.js("""return [...document.querySelectorAll('button, input, select')]
            .filter((e) => e.offsetParent && !(e.innerText || e.ariaLabel || e.title
              || e.labels?.length)).length""")
            == 0
        )
    assert page.complaints() == []


def test_the_map(page):
    page.click("tab-map")
    page.until("document.getElementById('map-how').innerText.includes('24 points')", 60)
    canvas = page.driver.find_element("id", "canvas")
    page.click("lasso")
    w, h = canvas.size["width"] // 2 - 4, canvas.size["height"] // 2 - 4
    actions = ActionChains(page.driver, 0).move_to_element_with_offset(canvas, -w, -h)
    actions.click_and_hold()
    for x, y in ((2 * w, 0), (0, 2 * h), (-2 * w, 0)):
        actions.move_by_offset(x, y)
    actions.release().perform()
    page.until(
        "document.getElementById('map-title').innerText === '24 photos selected'"
    )
    page.keys(Keys.ESCAPE)
    page.until("!document.querySelector('#map-grid [aria-selected=true]')")
    assert page.complaints() == []


def test_large_with_neighbours(page):
    page.keys(Keys.ARROW_RIGHT, Keys.ENTER)
    page.until("document.querySelectorAll('#zoom-near button').length === 12")
    page.until("document.querySelector('#zoom-picture img').naturalWidth === 48")
    name = page.text("zoom-name")
    page.keys(Keys.ARROW_RIGHT)
    page.until(f"document.getElementById('zoom-name').innerText !== '{name}'")
    assert "Cluster 0" in page.text("zoom-where")
    page.keys(Keys.ESCAPE)
    page.until("!document.getElementById('zoom').open")
    page.keys("?")
    page.until("document.getElementById('help').open")
    assert page.complaints() == []
