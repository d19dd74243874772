"""A learner's own page in a real browser: without scripts, on a small phone, from right to left."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from course.models import Subscriber
from course.web import texts

from .browsing import address, browser  # noqa: F401 (fixtures)
from .conftest import World
from .test_manage import allow_next_now, deliver, newest_link, settle

pytestmark = pytest.mark.e2e

PHONE = {"width": 320, "height": 640}
# Of everything that is pressed, but for links within a sentence.
SMALL_TARGETS = """() => [...document.querySelectorAll("main button, main summary, main select,"
  + "main input, main .button, .received a")].filter(e => e.offsetParent)
  .map(e => [e.textContent.trim(), e.getBoundingClientRect().height])
  .filter(([_, height]) => height < 44)"""
IS_WIDER = "() => document.documentElement.scrollWidth > innerWidth"


@pytest.fixture
def own(world: World, address: str) -> str:  # noqa: F811
    """The page of somebody who has had the first lesson."""
    allow_next_now(world)
    token = world.join()
    deliver(world, "welcome")
    return f"{address}/manage/{token}"


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:  # noqa: F811
    found = browser.new_context(java_script_enabled=False, viewport=PHONE)
    yield found
    found.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def test_a_learner_changes_everything_without_a_script(world: World, page: Page, own: str) -> None:
    page.goto(own)
    page.locator("#pause summary").click()
    page.get_by_role("button", name="For a week").click()
    expect(page.get_by_role("status")).to_have_text("Done: you are having a break.")
    expect(page.get_by_text("until Monday, 14 January")).to_be_visible()
    page.get_by_role("button", name="Go on now").click()
    expect(page.get_by_role("status")).to_have_text("Done: you go on.")

    page.get_by_text("Change the hour of my mails").click()
    page.get_by_label("At what hour").select_option("07:00")
    page.get_by_label("Time zone").select_option("Asia/Tokyo")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Tuesday, 8 January, 07:00")).to_be_visible()

    page.get_by_role("button", name="Send me the next mail now").click()
    expect(page.get_by_text("Mail 2 of 7 is on its way")).to_be_visible()

    page.locator("#pause summary").click()
    page.get_by_role("button", name="Have a break until then").click()
    expect(page.get_by_role("alert")).to_contain_text("Please name a day")
    expect(page.get_by_label("Or until")).to_be_visible()
    page.go_back()
    assert page.url.startswith(own)


def test_a_lesson_is_read_again_and_the_way_back_is_above_it(page: Page, own: str) -> None:
    page.goto(own)
    page.locator(".received a").click()
    expect(page.get_by_text("You have a job.")).to_be_visible()
    page.get_by_role("link", name="To your page").click()
    assert page.url == own


def test_another_address_through_both_inboxes(
    world: World,
    page: Page,
    own: str,
    address: str,  # noqa: F811
) -> None:
    page.goto(own)
    page.get_by_text("My name, address and data").click()
    page.get_by_role("button", name="Change my address").click()
    expect(page.get_by_role("status")).to_contain_text("A link is on its way to a…@example.org.")
    link = newest_link(world)
    settle(world)
    page.goto(f"{address}{link}")
    page.get_by_label("New e-mail address").fill("nonsense")
    page.get_by_role("button", name="Ask that address").click()
    expect(page.get_by_text("is not a complete e-mail address")).to_be_visible()
    page.get_by_label("New e-mail address").fill("ada@new.example")
    page.get_by_role("button", name="Ask that address").click()
    expect(page.get_by_text("Look into the other inbox")).to_be_visible()
    page.goto(f"{address}{newest_link(world)}")
    page.get_by_role("button", name="Yes, send them here").click()
    expect(page.get_by_text("From now on your mails come to a…@new.example.")).to_be_visible()
    assert world.rows(Subscriber)[0].email == "ada@new.example"


def test_a_copy_of_all_data_is_a_download(world: World, page: Page, own: str, address: str) -> None:  # noqa: F811
    page.goto(own)
    page.get_by_text("My name, address and data").click()
    page.get_by_role("button", name="Get a copy of my data").click()
    page.goto(f"{address}{newest_link(world)}")
    with page.expect_download() as found:
        page.get_by_role("button", name="Download").click()
    assert found.value.suggested_filename == "job-search-my-data.json"


def test_a_form_of_another_site_is_refused(world: World, page: Page, own: str) -> None:
    page.route(
        "http://evil.test/",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f'<form method="post" action="{own}/pause"><button name="for" value="week">Win',
        ),
    )
    page.goto("http://evil.test/")
    page.get_by_role("button").click()
    expect(page.get_by_text("This can only be pressed on our own page.")).to_be_visible()
    assert world.enrollment().state == "active"


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_the_page_fits_a_small_phone_and_a_thumb(
    browser: Browser,  # noqa: F811
    own: str,
    direction: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = texts.load
    monkeypatch.setattr(
        texts, "load", lambda home, language: load(home, language) | {"direction": direction}
    )
    page = browser.new_page(viewport=PHONE)
    page.goto(own)
    assert page.locator("html").get_attribute("dir") == direction
    for summary in page.locator("summary").all():
        summary.click()
    assert not page.evaluate(IS_WIDER)
    assert page.evaluate(SMALL_TARGETS) == []
    page.close()
