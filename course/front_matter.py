"""The head of a Markdown file, between two lines of `---`, and what a pydantic model says of it.

Every fault is one CourseError that names file and line.
"""

import re
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from course.errors import CourseError

M = TypeVar("M", bound=BaseModel)

# Subject, preview text and a few words. A reader of YAML in Python is slow.
LONGEST = 5_000


@dataclass(frozen=True, slots=True)
class Page:
    """A file taken apart; the lines are those of the file."""

    place: str  # the file as its author knows it
    front: str
    data: dict[str, Any]
    body: str
    body_line: int

    def head(self, model: type[M]) -> M:
        """The front matter as that model has it."""
        return validated(model, self.data, self.place, self.front, first_line=2)

    def line(self, key: str) -> int:
        return 2 + line_of(self.front, [key])


def split(place: str, text: str) -> Page:
    """Front matter and body; CourseError where there is none, or no text."""
    match = re.match(r"---[ \t]*\r?\n(.*?\n)?---[ \t]*(?:\r?\n|$)", text, re.DOTALL)
    if not match:
        raise CourseError(f"{place}:1: must begin with front matter between two lines of ---")
    front, body = match[1] or "", text[match.end() :]
    data = _read(place, front)
    if not body.strip():
        raise CourseError(f"{place}:{text.count(chr(10)) + 1}: the lesson has no text")
    return Page(place, front, data, body, text[: match.end()].count("\n") + 1)


def _read(place: str, front: str) -> dict[str, Any]:
    if len(front) > LONGEST:
        raise CourseError(f"{place}:1: front matter is longer than {LONGEST:,} letters")
    try:
        data = yaml.load(front, _Loader) or {}  # noqa: S506 (a safe one)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise CourseError(f"{place}:{line}: {error.problem or 'is not YAML'}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # a date that is none
        raise CourseError(f"{place}:2: cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise CourseError(f"{place}:2: front matter is lines like `subject: …`")
    return data


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: `18:00` is no number in base 60, `010` none in base 8, and no key
    may stand there twice."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """No aliases: nine lines of them can stand for a thousand million words."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "write it out instead of *…", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                problem = f"{key.value} stands there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if not tag.endswith((":int", ":float"))]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789")
)


def validated(model: type[M], data: Any, place: str, text: str, first_line: int) -> M:
    """The data as that model; CourseError names the line of the first key that does not fit."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        item = error.errors()[0]
        names = [part for part in item["loc"] if isinstance(part, str)]
        key = ".".join(names)
        message = {
            "missing": f"{key} is missing",
            "extra_forbidden": f"{key} is not a key that is known here",
            "tuple_type": f"{key} is a list, like [mon, wed]",
            "too_short": f"{key} names none; take the line out, or name one",
            "model_type": f"{key} is a table, like [{key}]",
        }.get(item["type"], f"{key}: {item['msg'].removeprefix('Value error, ')}")
        line = first_line + line_of(text, names)
        raise CourseError(f"{place}:{line}: {message}") from None


def line_of(text: str, names: list[str]) -> int:
    """The 0-based line of the innermost of these nested keys that stands in the text."""
    found = 0
    for name in names:
        pattern = re.compile(rf"\s*(?:\[(?:\w+\.)*{re.escape(name)}\]|{re.escape(name)}\s*[:=])")
        for number, line in enumerate(text.splitlines()[found:], found):
            if pattern.match(line):
                found = number
                break
    return found
