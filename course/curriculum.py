"""What a course is: its files read into values. Pure: text in, a `Course` out, or one error that
names file and line."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from course import front_matter
from course.course_file import (
    SLUG,
    Brand,
    CourseFile,
    Field,
    FrontMatter,
    Page,
    Privacy,
    Schedule,
    Sender,
    SignUp,
    Tracking,
)
from course.errors import CourseError, NotFoundError
from course.front_matter import line_of, validated
from course.notation import parse_weekdays
from course.timing import After, Rhythm, Step

COURSE_FILE = "course.toml"
ABOUT_FILE = "about.md"
LESSON_NAME = re.compile(r"^(\d+)-([a-z0-9][a-z0-9-]*)\.md$")
# Below this a daily course cannot break its gap on the day that has only 23 hours.
DAILY_GAP_LIMIT = timedelta(hours=22)
# Letters of a file, and how many lessons; no mail program shows a longer mail, and a reader of TOML
# in Python needs minutes for what is made to be slow.
LONGEST_FILE = 200_000
LONGEST_OF = {COURSE_FILE: 20_000, ABOUT_FILE: 50_000}
MOST_LESSONS = 400


@dataclass(frozen=True, slots=True)
class Lesson:
    """One mail of the course; the lines say where in the file its texts begin."""

    slug: str
    file: str
    number: int
    subject: str
    preheader: str
    after: After
    weekdays: frozenset[int] | None
    hours: tuple[time, time | None] | None  # its own hour, or window
    when: str  # a Jinja expression over the course's fields: whom it is for; "": for all
    body: str
    body_line: int
    subject_line: int
    preheader_line: int
    when_line: int


@dataclass(frozen=True)
class Course:
    """A course as its files say it. Lessons stand in the order of their file names."""

    slug: str
    title: str
    description: str
    language: str
    sender: Sender
    schedule: Schedule
    tracking: Tracking
    brand: Brand
    about: str
    lessons: tuple[Lesson, ...]
    fields: Mapping[str, Field] = dataclass_field(default_factory=dict, hash=False)
    page: Page = dataclass_field(default_factory=Page)
    signup: SignUp = dataclass_field(default_factory=SignUp)
    privacy: Privacy = dataclass_field(default_factory=Privacy)

    @cached_property
    def by_slug(self) -> dict[str, Lesson]:
        return {lesson.slug: lesson for lesson in self.lessons}

    def lesson(self, slug: str) -> Lesson:
        if slug not in self.by_slug:
            known = ", ".join(self.by_slug)
            raise NotFoundError(f"No lesson {slug!r} in course {self.slug}; it has: {known}")
        return self.by_slug[slug]

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        return tuple(
            Step(lesson.slug, lesson.after, lesson.weekdays, *(lesson.hours or ()))
            for lesson in self.lessons
        )

    def asks_for(self, name: str) -> bool:
        """Whether the form has a question for that field."""
        return name in self.fields and bool(self.fields[name].ask)

    def rhythm(
        self, zone: ZoneInfo | None, hour: time | None = None, weekdays: str | None = None
    ) -> Rhythm:
        """For somebody in that zone, at the hour that they chose, if any, and on the days of their
        cohort (`mon,wed`), where it has its own."""
        opens, closes = self.schedule.window or (self.schedule.hour, None)
        return Rhythm(
            zone=zone or self.schedule.zone,
            weekdays=parse_weekdays(weekdays) if weekdays else frozenset(self.schedule.weekdays),
            at=hour or opens,
            until=None if hour else closes,
            skip_dates=frozenset(self.schedule.skip_dates),
            minimum_gap=self.schedule.minimum_gap,
        )


def parse(slug: str, files: Mapping[str, str], *, where: str = "") -> Course:
    """Read `course.toml`, `about.md` and `NN-slug.md` texts; raise CourseError at the first fault.

    `where` is the folder's name as the author knows it; it stands before each file in errors.
    """
    if not SLUG.match(slug):
        raise CourseError(f"{where or slug}: a course folder's name is made of a-z, 0-9 and -")
    _check_size(files, where)
    head = _parse_course_file(files, where)
    if ABOUT_FILE not in files:
        raise CourseError(f"{where}{ABOUT_FILE}: is missing; it is the text of the course's page")
    course = Course(
        slug=slug,
        **{name: getattr(head, name) for name in CourseFile.model_fields},
        about=files[ABOUT_FILE],
        lessons=_parse_lessons(files, where),
    )
    _check_gap(course, where, files[COURSE_FILE])
    _check_days(course, where, files[COURSE_FILE])
    return course


def _check_size(files: Mapping[str, str], where: str) -> None:
    """Before anything is read: the time that it takes grows with the length."""
    for name, text in files.items():
        longest = LONGEST_OF.get(name, LONGEST_FILE)
        if len(text) > longest:
            place = name if name.startswith("templates/") else f"{where}{name}"
            raise CourseError(f"{place}:1: is longer than {longest:,} letters; shorten it")
    if sum(map(bool, map(LESSON_NAME.match, files))) > MOST_LESSONS:
        raise CourseError(f"{where or '.'}: more than {MOST_LESSONS} lessons; make two courses")


def language_of(files: Mapping[str, str]) -> str | None:
    """The language that course.toml names; None where that file is no sound one."""
    try:
        return _parse_course_file(files, "").language
    except CourseError:
        return None


def _parse_course_file(files: Mapping[str, str], where: str) -> CourseFile:
    name = f"{where}{COURSE_FILE}"
    if COURSE_FILE not in files:
        raise CourseError(f"{name}: is missing; copy one from: minicourse course new NAME")
    text = files[COURSE_FILE]
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else len(text.splitlines())
        message = re.sub(r" \(at .*\)$", "", str(error))
        raise CourseError(f"{name}:{line}: {message}") from None
    except RecursionError:
        raise CourseError(f"{name}:1: is nested too deeply") from None
    return validated(CourseFile, data, name, text, first_line=1)


def _parse_lessons(files: Mapping[str, str], where: str) -> tuple[Lesson, ...]:
    names = sorted(name for name in files if LESSON_NAME.match(name))
    if not names:
        raise CourseError(f"{where or '.'}: no lessons; name them like 01-welcome.md")
    lessons: list[Lesson] = []
    for number, name in enumerate(names, 1):
        lesson = _parse_lesson(name, files[name], number, where)
        twin = next((other for other in lessons if other.slug == lesson.slug), None)
        if twin:
            raise CourseError(
                f"{where}{name}:1: slug {lesson.slug!r} is also that of {twin.file}; "
                "a lesson's slug is its identity: give one of them another"
            )
        lessons.append(lesson)
    return tuple(lessons)


def _parse_lesson(name: str, text: str, number: int, where: str) -> Lesson:
    page = front_matter.split(f"{where}{name}", text)
    head = page.head(FrontMatter)
    file_slug = LESSON_NAME.match(name)
    assert file_slug
    return Lesson(
        slug=head.slug or file_slug[2],
        file=name,
        number=number,
        subject=head.subject,
        preheader=head.preheader,
        after=head.after,
        weekdays=None if head.weekdays is None else frozenset(head.weekdays),
        hours=head.window or ((head.hour, None) if head.hour else None),
        when=head.when,
        body=page.body,
        body_line=page.body_line,
        subject_line=page.line("subject"),
        preheader_line=page.line("preheader"),
        when_line=page.line("when"),
    )


def _check_gap(course: Course, where: str, text: str) -> None:
    daily = any(lesson.after.days <= 1 for lesson in course.lessons[1:])
    if daily and course.schedule.minimum_gap >= DAILY_GAP_LIMIT:
        line = 1 + line_of(text, ["schedule", "minimum_gap"])
        raise CourseError(
            f"{where}{COURSE_FILE}:{line}: schedule.minimum_gap must be below 22h for a daily "
            "course: when summer time begins a day has 23 hours"
        )


def _check_days(course: Course, where: str, text: str) -> None:
    """Whatever the day, one on which a lesson may leave lies within the year after it."""
    rhythm = course.rhythm(None)
    for rules in (rhythm, *(rhythm.of(step) for step in course.steps)):
        for day in sorted(rules.skip_dates):
            try:
                rules.next_allowed(day)
            except ValueError as error:
                line = 1 + line_of(text, ["schedule", "skip_dates"])
                raise CourseError(f"{where}{COURSE_FILE}:{line}: {error}") from None
