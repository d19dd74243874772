"""`minicourse lesson preview --watch` in a real browser: colours, widths, and following a save."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Frame, Page, expect, sync_playwright

from course.processes import ports
from tests.e2e.processes import eventually, running
from tests.world import make_home

pytestmark = pytest.mark.e2e

DARK, LIGHT = "rgb(28, 29, 31)", "rgb(255, 255, 255)"  # of the layout's sheet


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium where there is one, else Playwright's."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("preview") / "home")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    port = str(ports.free_port())
    words = ("lesson", "preview", "job-search", "--watch", "--port", port)
    with running(home, "cli.py", *words) as process:
        eventually(lambda: ports.is_listening(f"http://127.0.0.1:{port}"))
        yield f"http://127.0.0.1:{port}"
        assert process.popen.poll() is None


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    found = browser.new_page(viewport={"width": 1440, "height": 900})
    errors: list[str] = []
    found.on("pageerror", lambda error: errors.append(str(error)))
    yield found
    found.close()
    assert errors == []


def mails(page: Page) -> list[Frame]:
    """Desktop and phone, once both are there."""
    expect(page.locator("iframe")).to_have_count(2)
    for frame in page.frames[1:]:
        frame.locator(".sheet").wait_for()
    return page.frames[1:]


def colour_of_the_sheet(frame: Frame) -> str:
    found: str = frame.locator(".sheet").evaluate("e => getComputedStyle(e).backgroundColor")
    return found


LOOKS = [("light", LIGHT, "dark"), ("dark", DARK, "light")]


@pytest.mark.parametrize(("look", "colour", "liked"), LOOKS)
def test_the_mail_s_own_rules_for_light_and_dark_hold_whatever_the_author_likes(
    look: str, colour: str, liked: Literal["light", "dark"], page: Page, address: str
) -> None:
    page.emulate_media(color_scheme=liked)
    page.goto(f"{address}/lesson/welcome?look={look}")
    assert [colour_of_the_sheet(frame) for frame in mails(page)] == [colour, colour]


@pytest.mark.parametrize(("look", "colour", "liked"), LOOKS)
def test_a_browser_that_does_not_hand_the_scheme_on_is_helped(
    look: str, colour: str, liked: Literal["light", "dark"], page: Page, address: str
) -> None:
    page.emulate_media(color_scheme=liked)
    page.route(
        "**/preview.css",
        lambda route: route.fulfill(
            content_type="text/css",
            body=route.fetch()
            .text()
            .replace("color-scheme: light;", "")
            .replace("color-scheme: dark;", ""),
        ),
    )
    page.goto(f"{address}/lesson/welcome?look={look}")
    page.wait_for_timeout(200)
    assert [colour_of_the_sheet(frame) for frame in mails(page)] == [colour, colour]


def test_phone_and_desktop_are_as_wide_as_such_and_as_high_as_the_mail(
    page: Page, address: str
) -> None:
    page.goto(f"{address}/lesson/welcome")
    desktop, phone = mails(page)
    page.wait_for_timeout(200)
    widths = [frame.evaluate("innerWidth") for frame in (desktop, phone)]
    assert widths[0] >= 600
    assert widths[1] == 388
    for frame in (desktop, phone):
        assert frame.evaluate("document.documentElement.scrollHeight <= innerHeight + 1")
    title = [
        frame.locator("h1").evaluate("e => getComputedStyle(e).fontSize")
        for frame in (desktop, phone)
    ]
    assert title == ["30px", "26px"]


def test_a_save_shows_where_the_author_was_reading_and_an_error_goes_as_it_came(
    page: Page, address: str, home: Path
) -> None:
    lesson = home / "lessons/job-search/01-welcome.md"
    good = lesson.read_text()
    page.goto(f"{address}/lesson/welcome?as=rtl")
    mails(page)
    page.wait_for_timeout(200)
    page.evaluate("scrollTo(0, 600)")

    lesson.write_text(good.replace("The one exception", "The only exception"))
    expect(page.frame_locator("iframe").first.get_by_text("The only exception")).to_be_visible()
    assert page.evaluate("scrollY") == 600

    lesson.write_text(good.replace("You have a job.", "You have a {{ jobb }}."))
    expect(page.locator(".place")).to_have_text("lessons/job-search/01-welcome.md:9")
    expect(page.locator(".at-fault code")).to_contain_text("You have a {{ jobb }}.")

    lesson.write_text(good)
    expect(page.frame_locator("iframe").first.get_by_text("The one exception")).to_be_visible()


def test_a_script_in_a_mail_does_not_run(page: Page, address: str, home: Path) -> None:
    lesson = home / "lessons/job-search/02-network.md"
    good = lesson.read_text()
    lesson.write_text(f"{good}\n\n<script>parent.document.title = 'taken over'</script>\n")
    try:
        page.goto(f"{address}/lesson/network")
        mails(page)
        assert "<script>" in page.frames[1].content()
        assert "taken over" not in page.title()
    finally:
        lesson.write_text(good)


def test_the_page_says_when_the_preview_has_ended(page: Page, tmp_path: Path) -> None:
    home, port = make_home(tmp_path / "home"), str(ports.free_port())
    words = ("lesson", "preview", "job-search", "--watch", "--port", port)
    with running(home, "cli.py", *words):
        eventually(lambda: ports.is_listening(f"http://127.0.0.1:{port}"))
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.get_by_text("Follows your files")).to_be_visible()
    expect(page.get_by_text("The preview has ended")).to_be_visible()
