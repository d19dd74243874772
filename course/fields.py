"""A course's own fields: what its form or a list may say of a person beside name and zone, and the
lessons that are for some of them only.

Which fields there are, and of which kind, stands in `course.toml`. What a person said is kept as
JSON text; whatever is missing in it, or does not fit any more, has the field's default.
"""

import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from course.course_file import Field, FieldKind, Value
from course.curriculum import Course
from course.errors import InvalidInputError
from course.people import clean

if TYPE_CHECKING:
    from course.merging import Split, Splitter

log = logging.getLogger(__name__)

# A comma before three digits may mean thousands: nobody can say.
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:\.\d{1,6}|,\d{1,2}|,\d{4,6})?")
_YES, _NO = {"yes", "true", "1", "on", "y"}, {"no", "false", "0", "off", "n", ""}
_NONE: frozenset[str] = frozenset()


class InvalidFieldError(InvalidInputError):
    """What was given for a field is none of its values."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


def read(name: str, field: Field, given: str) -> Value:
    """What somebody wrote, as a value of that kind; InvalidFieldError says what is expected."""
    text = clean(given)
    match field.type:
        case FieldKind.TEXT:
            return text
        case FieldKind.NUMBER if _NUMBER.fullmatch(text):
            number = float(text.replace(",", "."))
            return int(number) if number.is_integer() else number
        case FieldKind.YES_NO if text.lower() in _YES | _NO:
            return text.lower() in _YES
        case FieldKind.CHOICE if text in field.choices:
            return text
    wanted = {
        FieldKind.NUMBER: "a number",
        FieldKind.YES_NO: "yes or no",
        FieldKind.CHOICE: f"one of: {', '.join(field.choices)}",
    }[field.type]
    raise InvalidFieldError(name, f"“{text}” is not {wanted}")


def read_all(course: Course, given: Mapping[str, str]) -> dict[str, Value]:
    """The declared ones among what was given; an empty one has not been given."""
    return {
        name: read(name, field, given[name])
        for name, field in course.fields.items()
        if given.get(name, "").strip()
    }


def pack(values: Mapping[str, Value]) -> str:
    """As an enrollment keeps them: the same values are the same text."""
    return orjson.dumps(dict(values), option=orjson.OPT_SORT_KEYS).decode() if values else ""


@lru_cache(maxsize=4096)
def said(stored: str) -> Mapping[str, Value]:
    """What a person said, whatever the course asks now."""
    found: dict[str, Value] = orjson.loads(stored) if stored else {}
    return found


def values(course: Course, stored: str) -> dict[str, Value]:
    """Each declared field's value for that person."""
    if not course.fields:
        return {}
    given = said(stored)
    return {name: _fitting(field, given.get(name)) for name, field in course.fields.items()}


def _fitting(field: Field, value: Value | None) -> Value:
    fits = value is not None and (
        value in field.choices if field.type is FieldKind.CHOICE else field.fits(value)
    )
    return value if fits and value is not None else field.default_value


_TEXTS = ("Ada & Söhne", "<b>bold</b>", "شركة", "a b  c", "x" * 60)
_NUMBERS = (1, 12.5, 0, -3, 1_000_000)


def example(course: Course, number: int) -> str:
    """Made-up values to try a course with, packed; those of number 0 are the defaults."""
    if not number:
        return ""

    def value(field: Field) -> Value:
        match field.type:
            case FieldKind.TEXT:
                return _TEXTS[number % len(_TEXTS)]
            case FieldKind.NUMBER:
                return _NUMBERS[number % len(_NUMBERS)]
            case FieldKind.YES_NO:
                return bool(number % 2)
            case FieldKind.CHOICE:
                return field.choices[number % len(field.choices)]

    return pack({name: value(field) for name, field in course.fields.items()})


class Conditions:
    """Which lessons of a course are for whom: the `when` of each, ready to be asked."""

    def __init__(self, course: Course, where: str = "") -> None:
        """Raises TemplateError where one cannot be read, or asks for what nobody declared."""
        self._course = course
        self._asked = {
            lesson.slug: _question(lesson.when, f"{where}{lesson.file}", lesson.when_line, course)
            for lesson in course.lessons
            if lesson.when
        }
        self._known: dict[str, frozenset[str]] = {}

    def unwanted(self, stored: str) -> frozenset[str]:
        """The lessons that are not for a person whose fields are these."""
        if not self._asked:
            return _NONE
        if stored not in self._known:
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
            known = values(self._course, stored)
            self._known[stored] = frozenset(
                slug
                for slug, (splitter, split) in self._asked.items()
                if not self._holds(slug, splitter, split, known)
            )
        return self._known[stored]

    def try_out(self) -> None:
        """Ask each for made-up people; raises TemplateError for the first that has no answer."""
        for splitter, split in self._asked.values():
            for number in range(_TRIES):
                split.render({}, splitter.key(values(self._course, example(self._course, number))))

    def _holds(
        self, slug: str, splitter: "Splitter", split: "Split", said: Mapping[str, Any]
    ) -> bool:
        try:
            return bool(split.render({}, splitter.key(said)).strip())
        except Exception as error:  # whatever a person's values make of it: rather one too many
            log.warning("%s: `when` cannot be answered, so it is sent: %s", slug, error)
            return True


_MOST_KNOWN = 10_000
_TRIES = 6


def _question(when: str, file: str, line: int, course: Course) -> "tuple[Splitter, Split]":
    """The expression as the test of a template, so that it may say what a lesson's `if` may."""
    # Jinja takes a while to load, and most courses have no conditions.
    from course.jinja import Part
    from course.merging import Splitter

    splitter = Splitter(frozenset(course.fields), "when")
    text = "\n" * (line - 1) + "{% if " + when + " %}yes{% endif %}"
    return splitter, splitter.split(file, {file: text}, Part.TEXT, set())


@lru_cache(maxsize=64)
def conditions_of(course: Course) -> Conditions:
    return Conditions(course)
