"""What anybody may see: the course, its form, the list, and what goes wrong."""

from datetime import date

import pytest
from pydantic import ValidationError

from course.course_file import Brand
from course.dates import Dates
from course.models import Course, Revision
from course.settings import SOURCE_ROOT
from course.states import CohortState
from course.web import zones
from course.web.brand import css
from course.web.texts import load

from .conftest import COURSE, MONDAY, World, form_of

TITLE = "Take the Interview Anyway"


def test_the_only_course_is_the_first_page(world: World) -> None:
    answer = world.client.get("/")
    assert answer.status_code == 200
    assert f"<h1>{TITLE}</h1>" in answer.text
    other = world.client.get(f"/c/{COURSE}").text
    tokens = [form_of(text)[1]["token"] for text in (answer.text, other)]
    assert answer.text.replace(tokens[0], "") == other.replace(tokens[1], "")


def test_the_page_says_what_comes_when(world: World) -> None:
    text = world.client.get("/").text
    assert "7 mails" in text
    assert "Monday to Friday at 09:00, on your clock" in text
    assert "The first as soon as you confirm" in text
    assert "<strong>What you get:</strong>" in text


def test_the_form_stands_on_the_zone_of_the_course(world: World) -> None:
    text = world.client.get("/").text
    assert text.count(" selected") == 1
    assert '<option value="Europe/Berlin" selected>Berlin' in text


def test_the_form_is_labelled_and_can_be_filled_by_the_browser(world: World) -> None:
    text = world.client.get("/").text
    for field, kind in (("email", "email"), ("name", "given-name")):
        assert f'<label for="{field}">' in text
        assert f'autocomplete="{kind}"' in text
    assert '<label for="zone">' in text
    assert 'aria-describedby="zone-hint"' in text


def test_the_page_shows_the_very_words_that_are_agreed_to(world: World) -> None:
    assert "By signing up you agree that Take the Interview sends you" in world.client.get("/").text


def test_several_courses_make_a_list(world: World) -> None:
    _add_course(world, "second", "published")
    text = world.client.get("/").text
    assert "<h1>Courses by e-mail</h1>" in text
    assert f'href="/c/{COURSE}"' in text
    assert 'href="/c/second"' in text


def test_no_course_at_all_is_said_kindly(world: World) -> None:
    _set_course_state(world, "draft")
    answer = world.client.get("/")
    assert answer.status_code == 200
    assert "No course is open at the moment" in answer.text


def test_a_draft_course_is_not_there_yet(world: World) -> None:
    _set_course_state(world, "draft")
    for path in (f"/c/{COURSE}", f"/c/{COURSE}/evergreen", f"/c/{COURSE}/brand.css"):
        assert world.client.get(path).status_code == 404
    assert world.sign_up().status_code == 404


def test_a_cohort_has_a_page_of_its_own_that_fills_it(world: World) -> None:
    world.cohort("spring", starts_on=date(2030, 3, 4))
    text = world.client.get(f"/c/{COURSE}/spring").text
    assert 'name="cohort" value="spring"' in text
    assert "We begin together on Monday, 4 March" in text
    assert "The first as soon as you confirm" not in text


def test_a_cohort_that_has_begun_says_so(world: World) -> None:
    world.cohort("winter", starts_on=date(2030, 1, 7))
    assert "Began on Monday, 7 January; you can still join" in (
        world.client.get(f"/c/{COURSE}/winter").text
    )


@pytest.mark.parametrize("state", [CohortState.CLOSED, CohortState.PAUSED, CohortState.ARCHIVED])
def test_a_cohort_that_takes_nobody_in_shows_no_form(world: World, state: str) -> None:
    world.cohort("spring", state=state)
    answer = world.client.get(f"/c/{COURSE}/spring")
    assert answer.status_code == 200
    assert "Not open at the moment" in answer.text
    assert "<form" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/c/nothing",
        f"/c/{COURSE}/nothing",
        f"/c/{COURSE}/No Slug",
        "/c/%00",
        f"/c/{COURSE}/%00",
        "/c/..%2f..%2fetc",
        "/static/../app.py",
    ],
)
def test_what_is_not_there_is_a_page_with_a_way_out(world: World, path: str) -> None:
    answer = world.client.get(path)
    assert answer.status_code == 404
    assert 'href="/"' in answer.text


def test_a_draft_cohort_is_not_there_yet(world: World) -> None:
    world.cohort("secret", state=CohortState.DRAFT)
    assert world.client.get(f"/c/{COURSE}/secret").status_code == 404


def test_errors_are_json_for_who_asks_in_json(world: World) -> None:
    answer = world.client.get("/nothing", headers={"Accept": "application/json"})
    assert answer.status_code == 404
    assert "does not exist" in answer.json["error"]


def test_a_wrong_method_names_the_right_ones(world: World) -> None:
    answer = world.client.post("/")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_a_defect_is_a_page_and_its_log_names_no_address(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(token: str) -> str:
        raise RuntimeError("a defect")

    monkeypatch.setitem(world.client.application.view_functions, "own_page.show", broken)
    answer = world.client.get("/manage/a-secret-of-somebody")
    assert answer.status_code == 500
    assert "Something broke on our side" in answer.text
    assert "a defect" in caplog.text
    assert "/manage/<token>" in caplog.text
    assert "a-secret-of-somebody" not in caplog.records[-1].getMessage()


@pytest.mark.parametrize("path", ["/", "/nothing", "/manage/nobody", "/healthz", f"/c/{COURSE}"])
def test_every_page_is_closed_to_foreign_scripts_and_sets_no_cookie(
    world: World, path: str
) -> None:
    answer = world.client.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers


def test_no_page_has_a_script_or_style_inside(world: World) -> None:
    token = world.join()
    for path in ("/", f"/manage/{token}", f"/unsubscribe/{token}", "/nothing"):
        text = world.client.get(path).text
        assert " style=" not in text
        assert "<style" not in text
        assert "<script>" not in text
        assert " onclick" not in text


def test_a_page_is_small(world: World) -> None:
    assert len(world.client.get("/").data) < 50_000


def test_the_course_brings_its_own_colour(world: World) -> None:
    answer = world.client.get(f"/c/{COURSE}/brand.css")
    assert answer.mimetype == "text/css"
    assert "--brand: #0b6e4f" in answer.text
    assert "public" in answer.headers["Cache-Control"]


def test_a_typeface_cannot_smuggle_in_more_than_a_list_of_names() -> None:
    assert "--font: Verdana, 'Open Sans';" in css(Brand(font="Verdana, 'Open Sans'"))
    with pytest.raises(ValidationError, match="no list of typefaces"):
        Brand(font="x; } body { background: url(https://evil.example/)")


def test_the_about_text_is_markdown_without_its_own_html(world: World) -> None:
    with world.database.writing() as session:
        revision = session.query(Revision).one()
        files = {**revision.files, "about.md": "*Kind* <b>words</b> <script>alert(1)</script>"}
        revision.files, revision.content_hash = files, "another"
    text = world.client.get("/").text
    assert "<em>Kind</em>" in text
    assert "<script>alert" not in text


def test_health_is_a_word(world: World) -> None:
    answer = world.client.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_the_script_and_styles_are_served(world: World) -> None:
    for name in ("zone.js", "pages.css", "icon.svg"):
        with world.client.get(f"/static/{name}") as answer:
            assert answer.status_code == 200


# Words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ({0, 1, 2, 3, 4, 5, 6}, "Every day"),
        ({0, 1, 2, 3, 4}, "Monday to Friday"),
        ({5, 6}, "Saturday and Sunday"),
        ({0, 2, 4}, "Monday, Wednesday and Friday"),
        ({1}, "Tuesday"),
    ],
)
def test_weekdays_in_words(days: set[int], words: str) -> None:
    assert Dates(load(SOURCE_ROOT, "en")["dates"]).weekdays(days) == words


def test_a_home_may_change_one_word_and_keeps_the_others(tmp_path) -> None:
    folder = tmp_path / "templates" / "texts"
    folder.mkdir(parents=True)
    (folder / "en.toml").write_text('[web.signup]\nbutton = "Count me in"\n')
    words = load(tmp_path, "en")["signup"]
    assert words["button"] == "Count me in"
    assert words["email"] == "E-mail address"


def test_a_language_without_a_word_falls_back_to_english(tmp_path) -> None:
    folder = tmp_path / "templates" / "texts"
    folder.mkdir(parents=True)
    (folder / "pt.toml").write_text('[web.signup]\nbutton = "Quero o curso"\n')
    words = load(tmp_path, "pt-BR")["signup"]
    assert words["button"] == "Quero o curso"
    assert words["email"] == "E-mail address"


def test_a_language_is_no_path(tmp_path) -> None:
    assert load(tmp_path, "../../secret") == load(tmp_path, "en")


def test_zones_have_a_place_and_old_spellings_of_browsers_are_known() -> None:
    every = [zone for cities in zones.by_area().values() for zone, _ in cities]
    assert {"Europe/Berlin", "Asia/Calcutta", "Asia/Kolkata", "UTC"} <= set(every)
    assert not [zone for zone in every if zone.startswith(("Etc/", "US/"))]
    assert zones.known("Mars/Olympus") is None


def _set_course_state(world: World, state: str) -> None:
    with world.database.writing() as session:
        session.query(Course).one().state = state


def _add_course(world: World, slug: str, state: str) -> None:
    with world.database.writing() as session:
        first = session.query(Course).one()
        session.add(
            Course(
                slug=slug, state=state, created_at=MONDAY, live_revision_id=first.live_revision_id
            )
        )
