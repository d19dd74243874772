"""The folder that a new course begins as: real files, which pass `course check` as they are."""

import json
import re
from contextlib import suppress
from pathlib import Path

from course.course_file import SLUG
from course.curriculum import COURSE_FILE
from course.errors import InvalidInputError, RefusedError
from course.writing import unwritten

_FILES = Path(__file__).parent / "files"
_TITLE = '"A New Course"'


def files(title: str) -> dict[str, str]:
    """The files of a new course of that title, by name. Every key stands in them, explained."""
    found = {path.name: path.read_text(encoding="utf-8") for path in sorted(_FILES.iterdir())}
    # A string of JSON is one of TOML, too.
    quoted = json.dumps(title, ensure_ascii=False)
    return found | {COURSE_FILE: found[COURSE_FILE].replace(_TITLE, quoted)}


def title_of(slug: str) -> str:
    """`first-loaf` is called First Loaf until somebody finds better words."""
    return slug.replace("-", " ").strip().title()


def write(folder: Path, title: str) -> list[Path]:
    """Make the folder of a new course; returns what was written. Nothing is ever overwritten."""
    require_slug(folder.name)
    if not title.strip() or not title.isprintable():
        raise InvalidInputError(f"{title!r} is no title: one line of words is needed")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise RefusedError(
            f"{folder} is there already, and nothing in it is overwritten. Choose another name, or "
            f"see what it has with: minicourse course check {folder.name}"
        )
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files(title.strip()).items():
            written.append(folder / name)
            with written[-1].open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        _take_back(written, folder)
        raise unwritten(folder, error) from None
    return written


def _take_back(written: list[Path], folder: Path) -> None:
    """Half a course would stand in the way of the next try."""
    with suppress(OSError):
        for path in written:
            path.unlink(missing_ok=True)
        folder.rmdir()


def require_slug(slug: str) -> None:
    """InvalidInputError where it cannot be a course's name, with one that could."""
    if SLUG.fullmatch(slug):
        return
    near = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-")
    hint = f"; take {near}" if near else ""
    raise InvalidInputError(
        f"{slug!r} cannot be a course's name: a-z, 0-9 and - alone, since it stands in links{hint}"
    )
