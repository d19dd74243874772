"""A note: one Markdown file for chosen people of a course, outside of its lessons. Pure.

It is rendered as the only lesson of a course that is otherwise as it stands, so that all that
holds for a lesson's text holds for a note's, and one renderer makes both.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from course import front_matter
from course.course_file import Line
from course.curriculum import LESSON_NAME
from course.errors import CourseError

_PREFIX = "note:"
_NAME = re.compile(r"(?:\d+-)?([a-z0-9][a-z0-9-]{0,60})\.md")
# A lesson's mail without its place in the course.
_LAYOUTS = {
    f"templates/email/lesson.{ending}.j2": f'{{% extends "email/base.{ending}.j2" %}}\n'
    for ending in ("html", "txt")
}


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    subject: Line = Field(min_length=1)
    preheader: Line = ""


@dataclass(frozen=True, slots=True)
class NoteFile:
    """A note as its author wrote it; its slug is its identity."""

    slug: str
    text: str
    subject: str


def parse(name: str, text: str, *, where: str = "") -> NoteFile:
    """A note of that file name; CourseError names file and line of what is wrong."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise CourseError(
            f"{where}{name}: a note's file is named like new-date.md, of a-z, 0-9 and -"
        )
    head = front_matter.split(f"{where}{name}", text).head(_Head)
    return NoteFile(match[1], text, head.subject)


def key_of(slug: str) -> str:
    """The name of its rows in the ledger."""
    return _PREFIX + slug


def slug_in(message_key: str) -> str:
    """The slug in such a name."""
    return message_key.removeprefix(_PREFIX)


def lesson_file(slug: str) -> str:
    """The name under which `as_course` puts it among a course's files."""
    return f"01-{slug}.md"


def as_course(files: Mapping[str, str], slug: str, text: str) -> dict[str, str]:
    """A course's files with the note as its only lesson, whose slug is the note's. The lines of its
    text keep their numbers."""
    page = front_matter.split(lesson_file(slug), text)
    head = json.dumps({**page.data, "after": 0, "slug": slug}, ensure_ascii=False)
    front = head + "\n" * page.front.count("\n")
    kept = {name: words for name, words in files.items() if not LESSON_NAME.match(name)}
    return {**kept, **_LAYOUTS, lesson_file(slug): f"---\n{front}---\n{page.body}"}
