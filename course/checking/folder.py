"""A course's folder, read whatever is in it: where `sources.read` stops, this goes on."""

import re
from collections.abc import Iterator
from pathlib import Path

from course import sources
from course.checking.findings import Finding, Rule
from course.checking.reading import place_of
from course.curriculum import ABOUT_FILE, COURSE_FILE, LESSON_NAME, language_of
from course.errors import CourseError
from course.plain_files import Folder, NotPlainError, decoded
from course.settings import SOURCE_ROOT
from course.sources import Source

_LIKE_A_LESSON = re.compile(r"\d.*\.(md|markdown|txt)", re.IGNORECASE)


def read(folder: Path, home: Path, where: str) -> tuple[Source, list[Finding]]:
    """The course as it lies there, with the templates of the home, and what could not be read."""
    files: dict[str, str] = {}
    findings: list[Finding] = []
    plain = Folder(folder)
    for path in sorted(folder.iterdir()):
        if path.name in (COURSE_FILE, ABOUT_FILE) or LESSON_NAME.fullmatch(path.name):
            text, found = _text(plain, path, f"{where}{path.name}")
            findings += found
            if text is not None:
                files[path.name] = text
        else:
            findings += _ignored(path, where)
    language = language_of(files)
    try:
        files |= sources.read_templates(home, language)
    except CourseError as error:
        file, line, what = place_of(error)
        mend = "Save it as UTF-8."
        if isinstance(error, NotPlainError):
            what, mend = error.what, error.mend
        findings.append(Finding(Rule.UNREADABLE, file, line, what, mend))
        files |= sources.read_templates(SOURCE_ROOT, language)
    return Source(folder.resolve().name, folder, files, None), findings


def _text(plain: Folder, path: Path, shown: str) -> tuple[str | None, list[Finding]]:
    """Its text, as far as it can be told, so that the rest of the course is judged fairly."""
    mend = "Save it as UTF-8; most editors ask for the encoding at “Save as”."
    try:
        raw = plain.read(path)
    except NotPlainError as error:
        return None, [Finding(Rule.UNREADABLE, shown, 1, error.what, error.mend)]
    try:
        return decoded(raw), []
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        what = f"the byte {raw[error.start]:#04x} is not UTF-8"
        return decoded(raw, "replace"), [Finding(Rule.UNREADABLE, shown, line, what, mend)]


def _ignored(path: Path, where: str) -> Iterator[Finding]:
    if path.is_file() and _LIKE_A_LESSON.fullmatch(path.name):
        stem = re.sub(r"[^a-z0-9]+", "-", path.stem.lower().lstrip("0123456789")).strip("-")
        number = re.match(r"\d+", path.name)
        name = f"{number[0] if number else '01'}-{stem or 'lesson'}.md"
        what = f"is not named like a lesson, such as {name}"
        mend = f"Rename it {name}; if it is a note, let its name begin with a letter."
        yield Finding(Rule.FILE_IGNORED, f"{where}{path.name}", 1, what, mend)
