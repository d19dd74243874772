"""The report as it is looked at: on a phone, on a screen, on paper."""

import re
from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import Browser, Page

from course import courses, report
from course.db import real_now
from tests.made_up import Past
from tests.web.browsing import browser  # noqa: F401 (a fixture)
from tests.world import World

pytestmark = pytest.mark.e2e

PAPER = 688  # A4 without its margins, in CSS pixels


@pytest.fixture
def file(world: World, tmp_path: Path) -> Path:
    past = Past(world, Random(4))
    past.happen(120)
    with world.database.reading() as session:
        live = courses.all_live(session)
        page = report.html(session, live, past.now, real_now(session), days=30)
    file = tmp_path / "report.html"
    file.write_text(page)
    return file


def opened(browser: Browser, file: Path, width: int, scheme: str = "light") -> Page:  # noqa: F811
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(file.as_uri())
    return page


def widths(page: Page, chosen: str) -> list[float]:
    found: list[float] = page.eval_on_selector_all(
        chosen, "all => all.map(one => Math.round(one.getBoundingClientRect().width))"
    )
    return found


def test_on_paper_nothing_is_cut_and_nothing_is_dark(browser: Browser, file: Path) -> None:  # noqa: F811
    page = opened(browser, file, PAPER, "dark")
    page.emulate_media(media="print")
    for table in page.locator("table").all():
        box = table.bounding_box()
        assert box
        assert box["x"] + box["width"] <= PAPER
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(255, 255, 255)"


@pytest.mark.parametrize("width", [375, 1100])
def test_on_a_screen_only_tables_are_pushed_aside(
    browser: Browser,  # noqa: F811
    file: Path,
    width: int,
) -> None:
    page = opened(browser, file, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [375, 1100])
def test_bars_of_one_chart_have_one_scale(browser: Browser, file: Path, width: int) -> None:  # noqa: F811
    page = opened(browser, file, width)
    for number in range(page.locator(".steps").count()):
        found = widths(page, f":nth-match(.steps, {number + 1}) .bar")
        assert len(set(found)) == 1, found


@pytest.mark.parametrize("width", [390, 1200])
def test_long_words_wrap_and_hide_no_number(
    browser: Browser,  # noqa: F811
    file: Path,
    width: int,
) -> None:
    text = file.read_text()
    text = re.sub(r"(<h[12]>)[^<]+", r"\1" + "w" * 96, text)
    file.write_text(re.sub(r'<th scope="row"[^>]*>spring<', f'<th scope="row">{"w" * 150}<', text))
    page = opened(browser, file, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for heading in page.locator("h1, h2").all():
        assert heading.evaluate("one => one.scrollWidth <= one.clientWidth")
    assert page.get_by_text("w" * 150).count() == 1
    for table in page.locator(".scroll").all():
        first = table.locator("tbody th").first.bounding_box()
        assert first
        assert first["width"] <= max(width * 0.45, 200)
        if width == 1200:
            assert table.evaluate("one => one.scrollWidth <= one.clientWidth")
