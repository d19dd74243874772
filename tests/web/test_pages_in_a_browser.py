"""The public pages in a real browser: for everybody's eyes and hands, on phone and desktop, with
and without scripts; and nothing happens to those whose mail program looks at links."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from course.course_file import Brand
from course.web import brand, texts

from .browsing import address, browser  # noqa: F401 (fixtures)
from .conftest import COURSE, World
from .every_page import Cast, Visit, addresses_of_mails, cast, lesson, looks, presses

pytestmark = pytest.mark.e2e

PHONE, DESKTOP = {"width": 320, "height": 640}, {"width": 1280, "height": 800}
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
IS_WIDER = "() => document.documentElement.scrollWidth > innerWidth"
# What has the keyboard, and whether that can be seen.
FOCUS = """() => { const e = document.activeElement, s = getComputedStyle(e);
  return [e.tagName, e.getAttribute("name") || e.textContent.trim(),
          s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2] }"""


@pytest.fixture
def people(world: World) -> Cast:
    return cast(world)


@pytest.fixture
def pages(browser: Browser) -> Iterator[Page]:  # noqa: F811
    context = browser.new_context(viewport=PHONE, bypass_csp=True)
    yield context.new_page()
    context.close()


def show(page: Page, address: str, wanted: Visit) -> None:  # noqa: F811
    """What a press shows comes as it would to a browser: from the server, by POST."""
    if wanted.form is None:
        page.goto(address + wanted.path)
        return
    fields = "".join(f'<input name="{k}" value="{v}">' for k, v in wanted.form.items())
    page.goto(f"{address}/healthz")
    page.set_content(f'<form method="post" action="{address}{wanted.path}">{fields}</form>')
    with page.expect_navigation():
        page.evaluate("document.forms[0].submit()")


def faults(page: Page, *, is_mail: bool = False) -> list[str]:
    """A mail has no landmarks; a page has axe's best practices as well."""
    tags = WCAG if is_mail else [*WCAG, "best-practice"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}})
    return [
        f"{fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in found.response["violations"]
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_small_phone(
    people: Cast,
    pages: Page,
    address: str,  # noqa: F811
    scheme: str,
) -> None:
    """WCAG 2.2 AA by axe, and no page has to be pushed aside to be read (1.4.10)."""
    pages.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for wanted in [*looks(people), lesson(people), *presses(people)]:
        show(pages, address, wanted)
        for summary in pages.locator("summary").all():
            summary.click()
        assert faults(pages, is_mail=wanted.name == "lesson") == [], wanted.name
        assert not pages.evaluate(IS_WIDER), wanted.name


@pytest.mark.parametrize("color", ["#ffff00", "#ffffff", "#000000", "#777777", "#ff66cc"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_any_brand_is_readable(
    people: Cast,
    pages: Page,
    address: str,  # noqa: F811
    color: str,
    scheme: str,
) -> None:
    pages.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    pages.route(
        "**/brand.css*",
        lambda route: route.fulfill(content_type="text/css", body=brand.css(Brand(color=color))),
    )
    for wanted in (Visit("", f"/c/{COURSE}"), Visit("", f"/manage/{people.tokens['active']}")):
        show(pages, address, wanted)
        assert faults(pages) == []


def test_from_right_to_left_nothing_sticks_out(
    people: Cast,
    pages: Page,
    address: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = texts.load
    monkeypatch.setattr(
        texts, "load", lambda home, language: load(home, language) | {"direction": "rtl"}
    )
    for wanted in looks(people):
        show(pages, address, wanted)
        assert pages.locator("html").get_attribute("dir") == "rtl"
        assert not pages.evaluate(IS_WIDER), wanted.name


def test_the_keyboard_is_enough_to_sign_up(pages: Page, world: World, address: str) -> None:  # noqa: F811
    pages.goto(f"{address}/c/{COURSE}")
    seen = []
    for _ in range(12):
        pages.keyboard.press("Tab")
        tag, name, visible = pages.evaluate(FOCUS)
        assert visible, (tag, name)
        seen.append(name)
        if name == "email":
            pages.keyboard.type("ada@example.org")
        if tag == "BUTTON":
            break
    assert seen[-4:-1] == ["email", "name", "zone"]
    pages.keyboard.press("Enter")
    _press_extra_page(pages)
    expect(pages.get_by_text("ada@example.org").first).to_be_visible()
    assert world.enrollment() is not None


def _press_extra_page(page: Page) -> None:
    """A form that was filled faster than people type may be asked to press once more."""
    page.wait_for_load_state()
    if world_knows := page.locator(".envelope").count():
        assert world_knows == 1
        return
    page.get_by_role("button").first.click()
    page.wait_for_load_state()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_from_the_form_to_the_way_out(
    browser: Browser,  # noqa: F811
    world: World,
    address: str,  # noqa: F811
    size: dict[str, int],
    scripts: bool,
) -> None:
    context = browser.new_context(viewport=size, java_script_enabled=scripts)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(address)
    page.get_by_label("E-mail").fill("ada@example.org")
    page.get_by_label("First name").fill("Ada")
    page.locator("form button").first.click()
    _press_extra_page(page)
    expect(page.locator(".envelope")).to_contain_text("ada@example.org")
    page.goto(address + world.confirm_link())
    assert world.enrollment().state == "pending"
    page.get_by_role("button").first.click()
    expect(page.locator(".plan")).to_be_visible()
    assert world.enrollment().state == "active"
    page.goto(f"{address}/manage/{world.enrollment().token}")
    page.locator("#pause summary").click()
    page.get_by_role("button", name="For a week").click()
    expect(page.get_by_role("status")).to_be_visible()
    assert world.enrollment().state == "paused"
    page.locator("a[href*='/unsubscribe/']").click()
    assert world.enrollment().state == "paused"
    page.get_by_role("button").first.click()
    expect(page.locator("h1")).to_be_visible()
    assert world.enrollment().state == "cancelled"
    context.close()


def test_a_scanner_with_a_browser_changes_nothing(
    browser: Browser,  # noqa: F811
    people: Cast,
    address: str,  # noqa: F811
) -> None:
    """It runs scripts, waits, and follows each link that it finds; it presses no button."""
    before = people.world.contents()
    page = browser.new_page()
    waiting, seen = [address + path for path in addresses_of_mails(people)], set[str]()
    while waiting:
        link = waiting.pop()
        if link in seen or not link.startswith(address):
            continue
        seen.add(link)
        page.goto(link, wait_until="networkidle")
        found = page.locator("a[href]").evaluate_all("all => all.map(a => a.href)")
        waiting += [each.partition("#")[0] for each in found]
    assert len(seen) > 30
    assert people.world.contents() == before
    page.close()


@pytest.mark.skipif("PICTURES" not in os.environ, reason="PICTURES names no folder for pictures")
def test_pictures(people: Cast, browser: Browser, address: str) -> None:  # noqa: F811
    """To look at: `PICTURES=build/pages pytest …`."""
    folder = Path(os.environ["PICTURES"])
    for size, scheme in (("phone", "light"), ("desktop", "light"), ("desktop", "dark")):
        viewport = {"width": 390, "height": 844} if size == "phone" else DESKTOP
        page = browser.new_page(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
        for wanted in [*looks(people), lesson(people)]:
            show(page, address, wanted)
            name = f"{wanted.name} {size} {scheme}.png".replace(" ", "-").replace(",", "")
            page.screenshot(path=folder / name, full_page=True)
        page.close()
