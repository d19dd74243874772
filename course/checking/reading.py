"""Reading a course's files as `curriculum.parse` does, and going on where that one stops."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from course import course_file, curriculum, front_matter, scaffold
from course.checking.findings import Finding, Rule
from course.curriculum import ABOUT_FILE, COURSE_FILE, LESSON_NAME, Course
from course.errors import CourseError

_PLACE = re.compile(r"(?P<file>[^:\n]+?)(?::(?P<line>\d+))?: (?P<what>.*)", re.DOTALL)
_SLUG = "course"

_ALONE = "01-alone.md"
_HEAD = re.compile(r"---[ \t]*\n(?:.*?\n)?---[ \t]*(?:\n|$)", re.DOTALL)


@dataclass
class Reading:
    """A course as far as it could be read."""

    where: str
    files: dict[str, str]  # stand-ins are in the place of those that could not
    course: Course | None = None
    set_aside: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def shown(self, name: str) -> str:
        """A file as its author knows it."""
        return name if name.startswith("templates/") else f"{self.where}{name}"


def read(slug: str, files: Mapping[str, str], where: str, unread: Collection[str] = ()) -> Reading:
    """Each file alone, and then together those that are sound. Never raises. What `unread` names,
    as its author knows it, is there and cannot be read: of that others tell."""
    reading = Reading(where, dict(files))
    _read_name(reading, slug)
    for shown in unread:
        _stand_in(reading, shown.removeprefix(where))
    if COURSE_FILE not in reading.set_aside:
        _read_alone(reading, COURSE_FILE, files.get(COURSE_FILE))
    if ABOUT_FILE not in reading.files:
        what = "is missing; it is the text of the course’s page"
        reading.findings.append(
            Finding(Rule.COURSE, reading.shown(ABOUT_FILE), 1, what, _mend(Rule.COURSE))
        )
        reading.files[ABOUT_FILE] = ""
    for name in sorted(filter(LESSON_NAME.match, files)):
        _read_alone(reading, name, files[name])
    _read_together(reading)
    return reading


def place_of(error: Exception) -> tuple[str, int, str]:
    """The file and line that an error begins with, and what is left of it."""
    found = _PLACE.fullmatch(str(error))
    if not found:
        return "", 1, str(error) or type(error).__name__
    return found["file"], int(found["line"] or 1), found["what"]


def _read_name(reading: Reading, slug: str) -> None:
    if not course_file.SLUG.fullmatch(slug):
        place = reading.where.rstrip("/") or slug
        what = f"{slug!r} cannot be the name of a course’s folder"
        mend = "Rename the folder: a-z, 0-9 and - alone."
        reading.findings.append(Finding(Rule.COURSE, place, 1, what, mend))


def _read_alone(reading: Reading, name: str, text: str | None) -> None:
    rest = {COURSE_FILE: _sound_course(), ABOUT_FILE: ""}
    if name == COURSE_FILE:
        rest = {ABOUT_FILE: "", _ALONE: _headed(_ALONE, "")}
    alone = rest if text is None else {**rest, name: text}
    try:
        curriculum.parse(_SLUG, alone, where=reading.where)
    except Exception as error:  # whatever a file does to a parser, the next one is looked at
        _set_aside(reading, name, error)


def _read_together(reading: Reading) -> None:
    """What can be wrong between files; one after the other is set aside until all agree."""
    for _ in range(len(reading.files) + 2):
        try:
            reading.course = curriculum.parse(_SLUG, reading.files, where=reading.where)
            return
        except Exception as error:
            file = place_of(error)[0]
            name = file.removeprefix(reading.where) if file.startswith(reading.where) else file
            if name in reading.set_aside:
                reading.files.pop(name, None)
                continue
            _set_aside(reading, name, error)
            if name not in reading.files:
                return


def _set_aside(reading: Reading, name: str, error: Exception) -> None:
    reading.findings += _told(reading, name, error)
    reading.set_aside.add(name)
    if name == COURSE_FILE:
        reading.files[COURSE_FILE] = _sound_course()
    elif name in reading.files:
        reading.files[name] = _headed(name, reading.files[name])


def _stand_in(reading: Reading, name: str) -> None:
    if name in reading.files:
        return  # as far as it could be
    if name == COURSE_FILE:
        reading.files[name] = _sound_course()
    elif name == ABOUT_FILE:
        reading.files[name] = ""
    elif LESSON_NAME.match(name):
        reading.files[name] = _headed(name, "")
    reading.set_aside.add(name)


def _headed(name: str, text: str) -> str:
    """A lesson's own text, each line where it was, under a head that is sound. Two days suit every
    `minimum_gap`, and nobody else has that slug."""
    head = _HEAD.match(text)
    body = text[head.end() :] if head else text
    spare = "#\n" * (head[0].count("\n") - 3 if head else 0)
    sound = f"{{subject: A lesson, after: 2, slug: stand-in-{name.removesuffix('.md')}}}"
    return f"---\n{sound}\n{spare}---\n{body if body.strip() else 'Text.'}\n"


def _sound_course() -> str:
    """The course.toml of a new course, in the place of one that cannot be read."""
    return scaffold.files("A course")[COURSE_FILE]


def _told(reading: Reading, name: str, error: Exception) -> Iterator[Finding]:
    """An error names the first fault; pydantic, beneath it, knows all of a file's."""
    rule = Rule.FRONT_MATTER if LESSON_NAME.match(name) else Rule.COURSE
    shown, cause = reading.shown(name), error.__context__
    if isinstance(cause, ValidationError):
        text = reading.files.get(name, "")
        yield from (Finding(rule, shown, *_explained(item, text)) for item in cause.errors())
    elif isinstance(error, CourseError):
        file, line, what = place_of(error)
        yield Finding(rule, file or shown, line, what, _mend(rule))
    else:
        yield Finding(rule, shown, 1, f"cannot be read: {error!r}", _mend(rule))


def _mend(rule: Rule) -> str:
    if rule is Rule.FRONT_MATTER:
        return "Mend it as docs/authoring.md, “A lesson”, shows."
    return "Mend it as docs/authoring.md, “The folder”, shows."


def _explained(item: Any, text: str) -> tuple[int, str, str]:
    """Line, what is wrong, and how to mend it, of one of pydantic's faults."""
    names = [part for part in item["loc"] if isinstance(part, str)]
    key = ".".join(names)
    is_lesson = text.startswith("---")
    line = 1 + front_matter.line_of(text, names)
    match item["type"]:
        case "missing":
            line = 2 if is_lesson else 1 + front_matter.line_of(text, names[:-1])
            return line, f"{key} is missing", f"Add a line for {names[-1]}."
        case "extra_forbidden":
            near = difflib.get_close_matches(names[-1], list(_known(is_lesson)), 1)
            advice = f"Did you mean {near[0]}? Else remove it." if near else "Remove it."
            return line, f"{key} is not a key that is known here", advice
    said = item["msg"].removeprefix("Value error, ")
    what = f"{key}: {said}" if key else said
    return line, what, "Write a value of that kind; docs/authoring.md lists them."


def _known(is_lesson: bool) -> Iterator[str]:
    """All keys, as the files of a new course have them."""
    for name, text in scaffold.files("").items():
        if bool(LESSON_NAME.match(name)) is is_lesson:
            yield from re.findall(r"^(?:# )?(\w+)(?: =|:)", text, re.MULTILINE)
