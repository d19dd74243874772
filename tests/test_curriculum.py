"""A course's files, read or refused with file and line."""

import shutil
from datetime import date, time, timedelta
from pathlib import Path

import pytest

from course import sources
from course.curriculum import parse
from course.errors import CourseError, NotFoundError
from course.settings import SOURCE_ROOT
from course.timing import After

COURSE = """\
title = "Bread"
description = "Bake."

[sender]
name = "Ada"

[schedule]
zone = "Europe/Berlin"
weekdays = ["mon", "wed"]
hour = "07:30"
"""
LESSON = "---\nsubject: Flour\nafter: {after}\n---\nText.\n"
FILES = {
    "course.toml": COURSE,
    "about.md": "About bread.",
    "01-flour.md": LESSON.format(after=0),
    "02-water.md": LESSON.format(after=2),
}


def changed(**files: str | None) -> dict[str, str]:
    """FILES with some replaced (or, by None, left out); `_` stands for a dot or a dash."""
    merged = FILES | {name: text for name, text in files.items() if text is not None}
    return {name: text for name, text in merged.items() if files.get(name, "") is not None}


def test_a_course_is_read_with_its_defaults() -> None:
    course = parse("bread", FILES)
    assert [lesson.slug for lesson in course.lessons] == ["flour", "water"]
    assert course.schedule.weekdays == (0, 2)
    assert course.schedule.hour == time(7, 30)
    assert course.schedule.minimum_gap == timedelta(hours=18)
    assert course.schedule.late == "shift"
    assert not course.tracking.clicks
    assert course.lesson("water").after == After(days=2)
    assert course.lesson("flour").body_line == 5


def test_the_front_matter_may_name_another_slug() -> None:
    files = changed(**{"02-water.md": "---\nslug: wet\nsubject: W\nafter: 1\n---\nText.\n"})
    assert parse("bread", files).lessons[1].slug == "wet"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        # course.toml
        ({"course.toml": None}, "course.toml: is missing"),
        ({"course.toml": COURSE + "x ="}, "course.toml:11: Invalid value"),
        ({"course.toml": COURSE.replace("Berlin", "Berlim")}, "course.toml:8: schedule.zone: "),
        ({"course.toml": COURSE.replace("07:30", "7.30")}, "course.toml:10: schedule.hour: "),
        ({"course.toml": COURSE.replace('"wed"', '"wen"')}, "course.toml:9: schedule.weekdays"),
        ({"course.toml": COURSE + 'colour = "red"\n'}, "course.toml:11: schedule.colour is not"),
        ({"course.toml": COURSE.replace("title", "titel")}, "course.toml:1: title is missing"),
        # a daily course needs a gap that a day of 23 hours can keep
        (
            {
                "course.toml": COURSE + 'minimum_gap = "22h"\n',
                "02-water.md": LESSON.format(after=1),
            },
            "course.toml:11: schedule.minimum_gap must be below 22h",
        ),
        # lessons
        ({"01-flour.md": None, "02-water.md": None}, "no lessons; name them like 01-welcome.md"),
        ({"01-flour.md": "No front matter."}, "01-flour.md:1: must begin with front matter"),
        ({"01-flour.md": "---\nsubject: [\n---\nText"}, "01-flour.md:3: "),
        ({"01-flour.md": "---\nafter: 0\n---\nText"}, "01-flour.md:2: subject is missing"),
        ({"01-flour.md": LESSON.format(after="soon")}, "01-flour.md:3: after: 'soon' is not"),
        ({"01-flour.md": LESSON.format(after=-1)}, "01-flour.md:3: after: -1 is not a wait"),
        ({"01-flour.md": LESSON.format(after=10**14)}, "01-flour.md:3: after: '100000000000000 d"),
        ({"01-flour.md": LESSON.format(after=400)}, "01-flour.md:3: after: 400 days is more than"),
        ({"01-flour.md": LESSON.format(after="9999h")}, "01-flour.md:3: after: 9999h is more than"),
        ({"01-flour.md": '---\nsubject: "a\\nb"\nafter: 0\n---\nT'}, "subject: must be one line"),
        ({"01-flour.md": "---\nsubject: S\nafter: 0\n---\n\n"}, "01-flour.md:6: the lesson has no"),
        ({"01-water.md": LESSON.format(after=0)}, "02-water.md:1: slug 'water' is also that of"),
        ({"about.md": None}, "about.md: is missing"),
    ],
)
def test_a_fault_is_named_with_file_and_line(files: dict[str, str | None], message: str) -> None:
    with pytest.raises(CourseError) as error:
        parse("bread", changed(**files), where="lessons/bread/")
    assert message in str(error.value)
    assert str(error.value).startswith("lessons/bread/")
    assert "\n" not in str(error.value)


def test_an_unknown_lesson_is_answered_with_those_that_exist() -> None:
    with pytest.raises(NotFoundError, match="'yeast'.*flour, water"):
        parse("bread", FILES).lesson("yeast")


def test_the_real_course_has_a_welcome_five_reasons_and_a_close() -> None:
    source = sources.read(SOURCE_ROOT, "job-search")
    course = parse(source.slug, source.files)
    assert len(course.lessons) == 7
    assert course.lessons[0].after.is_at_once
    assert all(250 <= len(lesson.body.split()) <= 450 for lesson in course.lessons)


def test_a_course_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No course 'x'.*there is: none"):
        sources.read(tmp_path, "x")


def test_the_homes_own_templates_come_before_the_programs(tmp_path: Path) -> None:
    own = tmp_path / "templates" / "email" / "lesson.txt.j2"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    templates = sources.read_templates(tmp_path)
    assert templates["templates/email/lesson.txt.j2"] == "mine"
    assert "templates/email/base.html.j2" in templates


def test_the_texts_of_another_language_are_nothing_to_a_course(tmp_path: Path) -> None:
    shutil.copytree(SOURCE_ROOT / "lessons" / "job-search", tmp_path / "lessons" / "job-search")
    before = sources.read(tmp_path, "job-search")
    (tmp_path / "templates" / "texts").mkdir(parents=True)
    (tmp_path / "templates" / "texts" / "de.toml").write_text("bad = [")
    (tmp_path / "templates" / "texts" / "fr.toml").write_bytes(b"bad = '\xe9'")
    assert sources.read(tmp_path, "job-search").content_hash == before.content_hash
    german = f'language = "de"\n{before.files["course.toml"].replace("language =", "# ")}'
    (tmp_path / "lessons" / "job-search" / "course.toml").write_text(german)
    texts = [name for name in sources.read(tmp_path, "job-search").files if "/texts/" in name]
    assert texts == ["templates/texts/de.toml"]


def test_days_that_leave_none_to_send_on_are_refused() -> None:
    every = [f'"{date(2027, 1, 1) + timedelta(days=number)}"' for number in range(500)]
    files = sources.read(SOURCE_ROOT, "job-search").files
    closed = files["course.toml"].replace("= []", f"= [{', '.join(every)}]")
    with pytest.raises(CourseError, match=r"course.toml:\d+: the weekdays and skip_dates leave no"):
        parse("job-search", {**files, "course.toml": closed})


@pytest.mark.parametrize(
    ("line", "hour"), [("hour: 18:00", time(18)), ("hour: 09:30", time(9, 30))]
)
def test_an_hour_needs_no_quotation_marks(line: str, hour: time) -> None:
    course = parse(
        "bread", {**FILES, "01-flour.md": f"---\nsubject: A\nafter: 0\n{line}\n---\nB\n"}
    )
    assert course.lessons[0].hours == (hour, None)


@pytest.mark.parametrize(
    ("front", "message"),
    [
        ("after: 1:30", "'1:30' is not a wait"),
        ("after: 010", "'010' is not a wait"),
        ("after: 1\nafter: 2", "after stands there twice"),
        ("after: 1\nweekdays: sat", r"weekdays is a list, like \[mon, wed\]"),
        ("after: 1\nweekdays: []", "weekdays names none"),
    ],
)
def test_yaml_says_what_people_mean(front: str, message: str) -> None:
    files = {**FILES, "01-flour.md": f"---\nsubject: A\n{front}\n---\nB\n"}
    with pytest.raises(CourseError, match=message):
        parse("bread", files)
