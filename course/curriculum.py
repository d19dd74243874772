"""What a course is: its files read into values. Pure: text in, a `Course` out, or one error that
names file and line."""

import keyword
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date, time, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Annotated, Self, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import pydantic
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    field_validator,
    model_validator,
)

from course import front_matter
from course.errors import CourseError, NotFoundError
from course.front_matter import line_of, validated
from course.timing import After, Late, Rhythm, Step

_DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
COURSE_FILE = "course.toml"
ABOUT_FILE = "about.md"
Value = str | int | float | bool  # of a field
LESSON_NAME = re.compile(r"^(\d+)-([a-z0-9][a-z0-9-]*)\.md$")
SLUG = re.compile(r"^[a-z0-9][a-z0-9-]*$")
FIELD_NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}$")
# Names that mails and lists know already, and words of the template language.
RESERVED_NAMES = frozenset(
    "name email zone hour begins begins_zone unsubscribe_url manage_url confirm_url link_url "
    "course lesson progress texts postal_address reply_to title preheader body mail site loop self "
    "super caller varargs kwargs range dict lipsum cycler joiner namespace true false none".split()
)
# Below this a daily course cannot break its gap on the day that has only 23 hours.
LONGEST_WAIT = timedelta(days=366)
# Letters of a file, and how many lessons; no mail program shows a longer mail, and a reader of TOML
# in Python needs minutes for what is made to be slow.
LONGEST_FILE = 200_000
LONGEST_OF = {COURSE_FILE: 20_000, ABOUT_FILE: 50_000}
MOST_LESSONS = 400
DAILY_GAP_LIMIT = timedelta(hours=22)
SHORTEST_RETENTION_DAYS = 30

M = TypeVar("M", bound=BaseModel)  # a table of the file


@lru_cache
def known_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def parse_zone(value: str) -> ZoneInfo:
    """An IANA zone; ValueError names what is not one."""
    if value not in known_zones():
        raise ValueError(f"{value!r} is no time zone; write it like Europe/Berlin")
    return ZoneInfo(value)


def parse_hour(value: object) -> time:
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return time.fromisoformat(value)
    raise ValueError(f"{value!r} is not an hour; write it like 09:00")


def parse_window(value: object) -> tuple[time, time]:
    """`"08:00-20:00"`: two hours of one day."""
    match = re.fullmatch(r"(\d\d:\d\d)\s*[-–]\s*(\d\d:\d\d)", str(value).strip())
    if not match:
        raise ValueError(f"{value!r} is not a window; write it like 08:00-20:00")
    opens, closes = parse_hour(match[1]), parse_hour(match[2])
    if opens >= closes:
        raise ValueError(f"{value!r} must open before it closes, on the same day")
    return opens, closes


def parse_gap(value: object) -> timedelta:
    match = re.fullmatch(r"(\d{1,4})h", value) if isinstance(value, str) else None
    if not match or timedelta(hours=int(match[1])) > LONGEST_WAIT:
        raise ValueError(f"{value!r} is not a number of hours; write it like 18h")
    return timedelta(hours=int(match[1]))


def parse_after(value: object) -> After:
    """`2` (days), `"2 days"`, `"4h"`, `"4 hours"` or `"next monday"`; a year at the most."""
    if isinstance(value, str) and (
        named := re.fullmatch(r"next\s+([a-z]+)", value.strip().lower())
    ):
        return After(weekday=_weekday(named[1][:3] if named[1] in _DAY_NAMES else named[1]))
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        value = f"{value} days"
    match = re.fullmatch(r"(\d{1,9})\s*(d|days?|h|hours?)", str(value).strip())
    if not match:
        raise ValueError(
            f"{value!r} is not a wait; write days like 2, hours like 4h, or next monday"
        )
    count = int(match[1])
    if timedelta(days=count) > LONGEST_WAIT and match[2].startswith("d"):
        raise ValueError(f"{value} is more than a year")
    if timedelta(hours=count) > LONGEST_WAIT:
        raise ValueError(f"{value} is more than a year")
    return After(days=count) if match[2].startswith("d") else After(hours=count)


def _weekday(value: object) -> int:
    if isinstance(value, str) and value.lower() in WEEKDAYS:
        return WEEKDAYS.index(value.lower())
    raise ValueError(f"{value!r} is no weekday; use {', '.join(WEEKDAYS)}")


def parse_weekdays(text: str) -> frozenset[int]:
    """`mon,wed,fri`; ValueError names what is no day."""
    return frozenset(_weekday(word.strip()) for word in text.split(","))


def _shortened(value: str) -> str:
    return repr(value if len(value) <= 60 else f"{value[:59]}…")


# Marks that turn the text after them around, in titles and beyond (Unicode's UAX 9).
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")


def _not_turned(value: str) -> str:
    if found := _TURNING.search(value):
        mark = f"U+{ord(found[0]):04X}"
        raise ValueError(f"holds an invisible mark that turns text around ({mark}); remove it")
    return value


def _one_line(value: str) -> str:
    _not_turned(value)
    if not value.isprintable():
        raise ValueError("must be one line; put it in quotes on the line of its key")
    return value


Line = Annotated[str, AfterValidator(_one_line)]
Zone = Annotated[ZoneInfo, BeforeValidator(parse_zone)]
Hour = Annotated[time, BeforeValidator(parse_hour)]
Weekday = Annotated[int, BeforeValidator(_weekday)]
Window = Annotated[tuple[time, time], BeforeValidator(parse_window)]


def _one_of_both(table: M) -> M:
    if {"hour", "window"} <= table.model_fields_set:
        raise ValueError("give an hour or a window, not both")
    return table


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )


class Sender(_Table):
    name: Line = pydantic.Field(min_length=1)
    email: Line | None = None
    reply_to: Line | None = None


class Schedule(_Table):
    zone: Zone
    weekdays: tuple[Weekday, ...] = (0, 1, 2, 3, 4)
    hour: Hour = time(9)
    window: Window | None = None
    minimum_gap: Annotated[timedelta, BeforeValidator(parse_gap)] = timedelta(hours=18)
    skip_dates: tuple[date, ...] = ()
    late: Late = Late.SHIFT

    @field_validator("weekdays")
    @classmethod
    def _some_day(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value:
            raise ValueError("name at least one weekday")
        return value

    @model_validator(mode="after")
    def _hour_or_window(self) -> Self:
        return _one_of_both(self)


class Tracking(_Table):
    clicks: bool = False
    opens: bool = False


# These stand in style sheets and attributes: nothing in them may end what they stand in.
_TYPEFACE = re.compile(r"""[\w -]+|'[\w -]+'|"[\w -]+\"""")
_LOGO = re.compile(r"https?://[\w.-]+(?::\d{1,5})?(?:/[\w.~:/?#@!$&*+,;=%-]*)?")
_LONGEST_BRAND = 500


class Brand(_Table):
    color: str = "#0b6e4f"
    logo: str = ""
    font: str = ""

    @field_validator("logo")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not (len(value) <= _LONGEST_BRAND and _LOGO.fullmatch(value)):
            raise ValueError(
                f"{_shortened(value)} is no picture’s address; write it like "
                "https://example.com/logo.png, with %22 for a quote and %20 for a blank"
            )
        return value

    @field_validator("font")
    @classmethod
    def _typefaces(cls, value: str) -> str:
        names = [name.strip(" ") for name in value.split(",")]
        if value and not (len(value) <= _LONGEST_BRAND and all(map(_TYPEFACE.fullmatch, names))):
            raise ValueError(
                f"{_shortened(value)} is no list of typefaces; "
                "write it like Verdana, 'Times New Roman', serif"
            )
        return value

    @field_validator("color")
    @classmethod
    def _hex(cls, value: str) -> str:
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
            raise ValueError(f"{value!r} is not a colour; write it like #0b6e4f")
        return value


class Page(_Table):
    next_now: bool = False


class SignUp(_Table):
    reminder: bool = True


class Privacy(_Table):
    # 0: for ever. Within a month events may still come twice, and questions be asked.
    retain_events_days: Annotated[int, pydantic.Field(ge=0, le=36500)] = 365

    @field_validator("retain_events_days")
    @classmethod
    def _long_enough(cls, value: int) -> int:
        if 0 < value < SHORTEST_RETENTION_DAYS:
            raise ValueError(f"{value} is less than {SHORTEST_RETENTION_DAYS}; 0 keeps them")
        return value


class FieldKind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    NUMBER = "number"
    YES_NO = "yes-no"
    CHOICE = "choice"


_EMPTY: dict[FieldKind, Value] = {
    FieldKind.TEXT: "",
    FieldKind.NUMBER: 0,
    FieldKind.YES_NO: False,
    FieldKind.CHOICE: "",
}


class Field(_Table):
    """Something that the course knows of a person beside name and zone; asked on the form where
    `ask` is its question, else given by an import alone."""

    type: FieldKind = FieldKind.TEXT
    default: bool | int | float | Line | None = None
    ask: Line = ""
    choices: tuple[Line, ...] = ()

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if (self.type is FieldKind.CHOICE) != bool(self.choices):
            raise ValueError('a field has choices if, and only if, its type is "choice"')
        if self.default is not None and not self.fits(self.default):
            raise ValueError(f"default {self.default!r} is no {self.type} of this field")
        return self

    def fits(self, value: Value) -> bool:
        """Whether it is a value of this field's kind."""
        match self.type:
            case FieldKind.TEXT:
                return isinstance(value, str)
            case FieldKind.NUMBER:
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                return is_number and math.isfinite(float(value))
            case FieldKind.YES_NO:
                return isinstance(value, bool)
            case FieldKind.CHOICE:
                return value in ("", *self.choices)

    @property
    def default_value(self) -> Value:
        """What holds for whom nothing is known of."""
        return _EMPTY[self.type] if self.default is None else self.default


def _field_names(found: dict[str, Field]) -> dict[str, Field]:
    for name in found:
        if not FIELD_NAME.match(name):
            raise ValueError(f"{name!r} is no name of a field; use a-z, 0-9 and _")
        if name in RESERVED_NAMES or keyword.iskeyword(name):
            raise ValueError(f"{name!r} means something in mails already; choose another name")
    return found


class _CourseFile(_Table):
    title: Line = pydantic.Field(min_length=1)
    description: Annotated[str, AfterValidator(_not_turned)] = pydantic.Field(min_length=1)
    language: str = "en"
    sender: Sender
    schedule: Schedule
    tracking: Tracking = Tracking()
    brand: Brand = Brand()
    page: Page = Page()
    signup: SignUp = SignUp()
    privacy: Privacy = Privacy()
    fields: Annotated[dict[str, Field], AfterValidator(_field_names)] = {}


class _FrontMatter(_Table):
    subject: Line = pydantic.Field(min_length=1)
    preheader: Line = ""
    after: Annotated[After, BeforeValidator(parse_after)]
    weekdays: Annotated[tuple[Weekday, ...], pydantic.Field(min_length=1)] | None = None
    hour: Hour | None = None
    window: Window | None = None
    when: Line = ""
    slug: str | None = pydantic.Field(None, pattern=SLUG.pattern)

    @model_validator(mode="after")
    def _hour_or_window(self) -> Self:
        return _one_of_both(self)


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
        **{name: getattr(head, name) for name in _CourseFile.model_fields},
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


def _parse_course_file(files: Mapping[str, str], where: str) -> _CourseFile:
    name = f"{where}{COURSE_FILE}"
    if COURSE_FILE not in files:
        raise CourseError(f"{name}: is missing; begin with: minicourse course new")
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
    return validated(_CourseFile, data, name, text, first_line=1)


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
    head = page.head(_FrontMatter)
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
