"""Lists of people, and of addresses alone, as CSV: read row by row, whoever wrote them."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TextIO

import orjson

from course import fields, formats
from course.curriculum import Course as Curriculum
from course.errors import InvalidInputError
from course.formats import OWN, PLAIN, Format, Standing
from course.joining import Person
from course.notation import known_zones, parse_hour
from course.people import clean, parse_email

COLUMNS = ("email", "name", "zone", "hour")
# What a list may say beside, and a course's own fields.
MORE = ("first_name", "last_name", "tags", "status", "start_at")
# The columns of a file of rejected rows that stand before the source's own.
LINE, WHY = "line", "why"
SEPARATORS = (",", ";", "\t")
_TAG_LIMIT = 64
_NOT_UTF8 = "is not UTF-8; save the file as UTF-8"
_NO_TEXT = "The first line is no text; save the list as CSV, and import that"


@dataclass(frozen=True, slots=True)
class Row:
    """A good row; `line` is where it begins in the file."""

    line: int
    person: Person
    tags: tuple[str, ...] = ()
    start_at: str = ""  # the lesson with which they go on; "": the first


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Somebody whom their old list would not mail, and so do not we."""

    line: int
    email: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that cannot be taken as it is written; its address, where that much can be read."""

    line: int
    email: str
    value: str
    reason: str
    cells: tuple[str, ...]


Item = Row | Elsewhere | Bad


@dataclass(frozen=True, slots=True)
class Reading:
    """How a list is to be read: which column is what, whose export it is, and the lesson with
    which those go on of whom it says nothing."""

    maps: Mapping[str, str] = field(default_factory=dict)  # our name → their column; "": none
    form: str = "auto"
    file_name: str = ""
    start_at: str = ""


def opened(file: Path) -> TextIO:
    """Broken bytes come as lone surrogates, so that only their own row is refused."""
    return file.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


class _Rows:
    """A CSV text, its first line and then row by row. Spreadsheets also write semicolons or tabs:
    the first line decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._raw: list[str] = []  # what was read of the row at hand
        rest = self._noted(lines)
        self.first = next(rest, "")
        separator = max(SEPARATORS, key=self.first.count)  # of equal ones the first
        self._reader = csv.reader(chain([self.first], rest), delimiter=separator, strict=True)
        try:
            self.header = next(self._reader, [])
        except csv.Error as error:
            raise InvalidInputError(f"{clean(self.first)}: is no CSV header: {error}") from None
        self.names = [name.strip().lower() for name in self.header]

    @property
    def is_text(self) -> bool:
        return self.first.replace("\t", "").strip("\r\n\ufeff").isprintable()

    def __iter__(self) -> Iterator[tuple[int, list[str]] | Bad]:
        """Each row that has anything in it, with the line where it begins."""
        while True:
            line = self._reader.line_num + 1
            self._raw.clear()
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = f"cannot be read, up to line {self._reader.line_num}: {error}"
                yield Bad(line, "", "", reason, ("".join(self._raw),))
                continue
            if any(cell.strip() for cell in cells):
                yield line, cells

    def _noted(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            self._raw.append(line)
            yield line


class Sheet:
    """A CSV text with a header, read as it is iterated; `ignored` are columns that mean nothing
    here: neither to every course nor to this one."""

    def __init__(
        self, lines: Iterable[str], course: Curriculum, reading: Reading | None = None
    ) -> None:
        self._course, self._how = course, reading or Reading()
        self._rows = _Rows(lines)
        self.header, self._names = self._rows.header, self._rows.names
        self.format = self._whose()
        self._of_file = self.format.of_file(self._how.file_name)
        self._places = self._find_places()
        self._start_at = lesson_at(course, self._how.start_at) if self._how.start_at else ""

    @property
    def ignored(self) -> list[str]:
        used = {place for place in self._places.values() if place is not None}
        known = {LINE, WHY, self.format.json, *self.format.marks}
        if self.format is OWN:
            known |= {"course", "cohort", "received", "lessons", "signed_up_at", "confirmed_at"}
        return [
            name
            for place, name in enumerate(self._names)
            if name and place not in used and name not in known
        ]

    @property
    def says_where(self) -> bool:
        """Whether it has a column that says with which lesson somebody goes on."""
        return self._places.get("start_at") is not None

    def __iter__(self) -> Iterator[Item]:
        for row in self._rows:
            yield row if isinstance(row, Bad) else self._item(*row)

    # The header -----------------------------------------------------------------------------------

    def _whose(self) -> Format:
        if self._how.form == "auto":
            return formats.recognise(self._names)
        return formats.named(self._how.form)

    def _find_places(self) -> dict[str, int | None]:
        """Ours → the number of their column: as the author says, as that service calls it, or as
        we do."""
        names = {name: place for place, name in reversed(list(enumerate(self._names)))}
        found = {ours: self._mapped(ours, theirs) for ours, theirs in self._how.maps.items()}
        for ours, calls in self._called():
            taken = set(found.values())
            place = next((names[c] for c in calls if c in names and names[c] not in taken), None)
            if ours not in found and place is not None:
                found[ours] = place
        if found.get("email") is None:
            if not self._rows.is_text:
                raise InvalidInputError(_NO_TEXT)
            known = ",".join((*COLUMNS, *self._course.fields))
            raise InvalidInputError(
                f"No column `email`; the first line is: {clean(self._rows.first) or '(empty)'}. "
                f"Name the columns there like this: {known} "
                '(separated by commas, semicolons or tabs), or say which it is: --map email="NAME"'
            )
        return found

    def _called(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        own_fields = self._course.fields
        yield from self.format.columns.items()
        for name in own_fields:
            yield key_of(name), (name, f"field_{name}")
        for name in (*COLUMNS, *MORE):
            if name not in own_fields:
                yield name, (name, name.replace("_", " "))

    def _mapped(self, ours: str, theirs: str) -> int | None:
        known = (*COLUMNS, *MORE, *map(key_of, self._course.fields))
        if ours not in known:
            raise InvalidInputError(f"--map {ours!r}: there is only {', '.join(known)}")
        if not theirs.strip():
            return None
        if theirs.strip().lower() not in self._names:
            columns = ", ".join(clean(name) for name in self.header)
            raise InvalidInputError(f"--map {ours}: no column {theirs!r}; there is: {columns}")
        return self._names.index(theirs.strip().lower())

    # A row ----------------------------------------------------------------------------------------

    def _item(self, line: int, cells: Sequence[str]) -> Item:
        email, value = "", clean(self._cell(cells, "email") or cells[0])
        try:
            self._require_readable(cells)
            email = _email(self._value(cells, "email"))
            standing = self._standing(cells)
            return Elsewhere(line, email, standing) if standing else self._row(line, email, cells)
        except InvalidInputError as error:
            return Bad(line, email, value, str(error), tuple(cells))

    def _require_readable(self, cells: Sequence[str]) -> None:
        if len(cells) > len(self._names):
            raise InvalidInputError(
                f"{len(cells)} cells under {len(self._names)} columns; quote the separators"
            )
        if any(_is_broken(cell) for cell in cells):
            raise InvalidInputError(_NOT_UTF8)

    def _cell(self, cells: Sequence[str], name: str) -> str:
        place = self._places.get(name)
        return cells[place] if place is not None and place < len(cells) else ""

    def _value(self, cells: Sequence[str], name: str) -> str:
        found = self._cell(cells, name).strip()
        return formats.fused(found) if self.format.is_defused else found

    def _standing(self, cells: Sequence[str]) -> Standing | None:
        """Whatever says that they are not subscribed there counts."""
        found = self._of_file or self.format.standing(self._value(cells, "status"))
        if found or not self.format.marks:
            return found
        return self.format.marked(dict(zip(self._names, cells, strict=False)))

    def _row(self, line: int, email: str, cells: Sequence[str]) -> Row:
        said = {name: self._value(cells, name) for name in self._places}
        if self.format.json:
            said = _from_json(self._beside(cells)) | {k: v for k, v in said.items() if v}
        start_at = said.get("start_at", "")
        return Row(
            line,
            self._person(email, said),
            tags_in(said.get("tags", "")),
            lesson_at(self._course, start_at) if start_at else self._start_at,
        )

    def _beside(self, cells: Sequence[str]) -> str:
        place = self._names.index(self.format.json) if self.format.json in self._names else None
        return cells[place] if place is not None and place < len(cells) else ""

    def _person(self, email: str, said: Mapping[str, str]) -> Person:
        own = {name: said.get(key_of(name), "") for name in self._course.fields}
        zone = said.get("zone", "")
        name = said.get("name") or f"{said.get('first_name', '')} {said.get('last_name', '')}"
        if zone and zone not in known_zones():
            # Another service's own words for a zone are no fault of the author's.
            if self.format in (PLAIN, OWN):
                raise InvalidInputError(
                    f"“{clean(zone)}” is no time zone; write it like Europe/Berlin"
                )
            zone = ""
        return Person(
            email,
            clean(name),
            zone or None,
            _hour(said.get("hour", "")),
            fields.pack(fields.read_all(self._course, own)) if own else "",
        )


class Addresses:
    """The addresses of a CSV text, whatever else it says of them; or of one that has nothing but
    an address a line, without a header. An item is an address, or a row that has none to read."""

    def __init__(self, lines: Iterable[str], column: str | None = None) -> None:
        self._rows = _Rows(lines)
        self._format = formats.recognise(self._rows.names)
        self._has_header, self._place = self._find(column)

    def __iter__(self) -> Iterator[str | Bad]:
        if not self._has_header and any(cell.strip() for cell in self._rows.header):
            yield self._item(1, self._rows.header)
        for row in self._rows:
            yield row if isinstance(row, Bad) else self._item(*row)

    def _find(self, column: str | None) -> tuple[bool, int]:
        """Whether the first line names the columns, and where the addresses stand."""
        names = self._rows.names
        theirs = (*self._format.columns.get("email", ()), "email")
        for name in theirs if column is None else (column.strip().lower(),):
            if name in names:
                return True, names.index(name)
        if not self._rows.is_text:
            raise InvalidInputError(_NO_TEXT)
        places = [place for place, cell in enumerate(names) if _is_address(cell)]
        if column is None and (len(places) == 1 or len(names) < 2):
            return False, (places or [0])[0]
        raise InvalidInputError(
            f"No column {column or 'email'!r}; the first line is: {clean(self._rows.first)}. "
            "Name the column with the addresses: --column NAME"
        )

    def _item(self, line: int, cells: Sequence[str]) -> str | Bad:
        given = cells[self._place].strip() if self._place < len(cells) else ""
        try:
            if sum("@" in cell for cell in cells[len(self._rows.header) :]):
                raise InvalidInputError("has more than one address; write one a line")
            if _is_broken(given):
                raise InvalidInputError(_NOT_UTF8)
            if not given:
                raise InvalidInputError("has no address")
            given = formats.fused(given) if self._format.is_defused else given
            return parse_email(given, sandbox=True)
        except InvalidInputError as error:
            return Bad(line, "", clean(given), str(error), tuple(cells))


def _is_address(text: str) -> bool:
    try:
        return bool(parse_email(text, sandbox=True))
    except InvalidInputError:
        return False


def key_of(field_name: str) -> str:
    """What a course's field is called among the columns, where a list may say that name of more."""
    return f"field_{field_name}" if field_name in MORE else field_name


_SURROGATE = re.compile("[\ud800-\udfff]")


def _is_broken(value: str) -> bool:
    """Bytes that were no UTF-8 come as lone surrogates (the file is opened that way)."""
    return not value.isascii() and _SURROGATE.search(value) is not None


def _email(given: str) -> str:
    if not given:
        raise InvalidInputError("has no address")
    return parse_email(given)


def _hour(given: str) -> time | None:
    """Spreadsheets write hours in many ways; those that can mean only one are taken."""
    if not given:
        return None
    match = re.fullmatch(r"(\d{1,2}):(\d\d)(?::00)?", given)
    try:
        return time(int(match[1]), int(match[2])) if match else parse_hour(given)
    except ValueError:
        raise InvalidInputError(f"“{clean(given)}” is not an hour; write it like 09:00") from None


@lru_cache(maxsize=1024)
def tags_in(cell: str) -> tuple[str, ...]:
    """`one, two`, `"one","two"` or `one; two`."""
    separator = next((mark for mark in ",;|" if mark in cell), ",")
    try:
        words = next(csv.reader([cell], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        words = cell.split(separator)
    cut = (clean(word)[:_TAG_LIMIT].rstrip() for word in words)
    return tuple(dict.fromkeys(word for word in cut if word))


def _from_json(text: str) -> dict[str, str]:
    """What a column of JSON says, as cells would; one that cannot be read says nothing."""
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    items = found.items() if isinstance(found, dict) else ()
    return {name.lower(): _as_cell(value) for name, value in items}


def _as_cell(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ",".join(str(one) for one in value)
        case str() | int() | float():
            return str(value)
    return ""


def lesson_at(course: Curriculum, text: str) -> str:
    """The slug of the lesson that is named so, or has that number."""
    if text.isdecimal() and 0 < int(text) <= len(course.lessons):
        return course.lessons[int(text) - 1].slug
    if text in course.by_slug:
        return text
    raise InvalidInputError(
        f"“{clean(text)}” is no lesson of {course.slug}; write its number, 1 to "
        f"{len(course.lessons)}, or its name: {', '.join(course.by_slug)}"
    )
