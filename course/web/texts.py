"""Every word of the pages: `[web.…]` in templates/texts, in the course's language."""

import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from course.plain_files import Folder
from course.settings import SOURCE_ROOT

FALLBACK = "en"


@lru_cache(maxsize=16)
def load(home: Path, language: str) -> dict[str, Any]:
    """The `web` table of a language. What a translation or the home's own file lacks comes from
    the program's, in English if need be: a page is never without words."""
    found: dict[str, Any] = {}
    for folder, file in _files(home, language):
        found = _merged(found, tomllib.loads(folder.text(file)).get("web", {}))
    return found


def try_out(home: Path) -> None:
    """CourseError names a file of the home's own that cannot be read."""
    folder = Folder(home / "templates")
    for file in folder.root.glob("texts/*.toml"):
        folder.text(file)


def _files(home: Path, language: str) -> Iterator[tuple[Folder, Path]]:
    """From the least to the most particular."""
    for name in dict.fromkeys((FALLBACK, language.partition("-")[0], language)):
        for root in dict.fromkeys((SOURCE_ROOT, home)):
            # Listed, not opened by name: a language comes from a course's file.
            folder = Folder(root / "templates")
            files = folder.root.glob("texts/*.toml")
            yield from ((folder, file) for file in files if file.stem == name)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both else value
    return merged
