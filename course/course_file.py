"""What may stand in `course.toml` and in the head of a lesson: a table of it, a class here."""

import keyword
import math
import re
from datetime import date, time, timedelta
from enum import StrEnum
from typing import Annotated, Self, TypeVar
from zoneinfo import ZoneInfo

import pydantic
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    field_validator,
    model_validator,
)

from course.notation import (
    parse_after,
    parse_gap,
    parse_hour,
    parse_weekday,
    parse_window,
    parse_zone,
)
from course.timing import After, Late

Value = str | int | float | bool  # of a field
SLUG = re.compile(r"^[a-z0-9][a-z0-9-]*$")
FIELD_NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}$")
# Names that mails and lists know already, and words of the template language.
RESERVED_NAMES = frozenset(
    "name email zone hour begins begins_zone unsubscribe_url manage_url confirm_url link_url "
    "awaited course lesson progress texts postal_address reply_to title preheader body mail site "
    "loop self super caller varargs kwargs range dict lipsum cycler joiner namespace true false "
    "none".split()
)
SHORTEST_RETENTION_DAYS = 30

M = TypeVar("M", bound=BaseModel)  # a table of the file


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
Weekday = Annotated[int, BeforeValidator(parse_weekday)]
Window = Annotated[tuple[time, time], BeforeValidator(parse_window)]


def _one_of_both(table: M) -> M:
    if {"hour", "window"} <= table.model_fields_set:
        raise ValueError("give an hour or a window, not both")
    return table


class Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )


class Sender(Table):
    name: Line = pydantic.Field(min_length=1)
    email: Line | None = None
    reply_to: Line | None = None


class Schedule(Table):
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


class Tracking(Table):
    clicks: bool = False
    opens: bool = False


# These stand in style sheets and attributes: nothing in them may end what they stand in.
_TYPEFACE = re.compile(r"""[\w -]+|'[\w -]+'|"[\w -]+\"""")
_LOGO = re.compile(r"https?://[\w.-]+(?::\d{1,5})?(?:/[\w.~:/?#@!$&*+,;=%-]*)?")
_LONGEST_BRAND = 500


class Brand(Table):
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


class Page(Table):
    next_now: bool = False


class SignUp(Table):
    reminder: bool = True


class Privacy(Table):
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


class Field(Table):
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


class CourseFile(Table):
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


class FrontMatter(Table):
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
