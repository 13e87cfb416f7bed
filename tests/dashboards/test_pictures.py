"""Every page of the demo's workspace in a real browser: a clean console, nobody else asked, readable on a phone, accessible; the README's pictures.

`make pictures` runs this and keeps the README's pictures in docs/pictures; a test run leaves them in test-artefacts/.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page

from controlplane.store.snapshot import CURRENT
from jobs.control import Control
from tests.dashboards.browser import ARTEFACTS, DESKTOP, PHONE, TOKEN, Watched, chromium, needs_chromium, served

pytestmark = needs_chromium
ROOT = Path(__file__).parents[2]
KEPT = Path(os.environ.get("CONTROLPLANE_PICTURES", ARTEFACTS))
SHOWN = {"review": 1250, "live": 1150, "quality": 1000, "incidents": 1000}  # in the README; height in pixels
PAGES = (
    *("review", "live", "rollout", "experiments", "drift"),
    *("quality", "conversation", "cost", "incidents", "governance"),
)
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def seen(browser: Browser, read_only_control: Control) -> Iterator[Watched]:
    """One visitor for all pages: each new one would load Streamlit's whole client again."""
    control = read_only_control
    with served(control.deps.home, control.server.url, TOKEN) as url:
        yield Watched(browser, url)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_in_the_browser(seen: Watched, read_only_control: Control, name: str) -> None:
    (read_only_control.deps.snapshots / CURRENT).touch()  # as a publisher that lives does
    seen.page.set_viewport_size(DESKTOP)
    page = seen.open(name)
    seen.picture(f"page-{name}")
    assert page.get_by_role("heading", level=1).count() == 1
    assert unnamed_charts(page) == []
    assert barriers(page) == []
    if name in SHOWN:
        keep(seen, name)
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(500)
    assert wider_than_the_screen(page) == []
    seen.clean()


def test_the_readme_shows_pictures_that_are_there() -> None:
    shown = re.findall(r"!\[([^\]]+)\]\((docs/pictures/[\w-]+\.png)\)", (ROOT / "README.md").read_text())
    assert {path for _, path in shown} >= {f"docs/pictures/{name}.png" for name in SHOWN}
    for words, path in shown:
        assert len(words) > 10, path
        with Image.open(ROOT / path) as picture:
            assert picture.width >= 1000, path


def keep(seen: Watched, name: str) -> None:
    """The top of the page as the README shows it, in few colours so that the repository stays small."""
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"{name}.png"
    page = seen.page
    page.set_viewport_size({"width": 1360, "height": SHOWN[name]})
    seen.settled()
    page.wait_for_timeout(600)
    page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(192, dither=Image.Dither.NONE).save(path, optimize=True)
    if KEPT != ARTEFACTS:
        shutil.copy(path, ARTEFACTS / path.name)


def unnamed_charts(page: Page) -> list[str]:
    """Charts without a text that says what they show."""
    found = page.evaluate(
        """() => [...document.querySelectorAll('[data-testid=stVegaLiteChart]')]
            .filter(chart => !chart.querySelector('[aria-label]:not([aria-label=""])') && !chart.getAttribute('aria-label'))
            .map(chart => chart.outerHTML.slice(0, 200))"""
    )
    return list(found)


def barriers(page: Page) -> list[str]:
    """What axe-core calls serious or critical, with where; rules and elements that are Streamlit's own are named in OURS_NOT."""
    results = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response
    return [
        f"{rule['id']}: {node['target']} {node['html'][:160]}"
        for rule in results["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


def wider_than_the_screen(page: Page) -> list[str]:
    """What sticks out to the right of the main column on a phone, except inside what scrolls by itself."""
    found = page.evaluate(
        """() => { const main = document.querySelector('[data-testid=stMain]');
            return main.scrollWidth <= window.innerWidth ? [] : [...main.querySelectorAll('*')]
              .filter(one => one.getBoundingClientRect().right > window.innerWidth + 1 && !one.closest('.cp-scroll'))
              .slice(0, 5).map(one => one.outerHTML.slice(0, 160)); }"""
    )
    return list(found)
