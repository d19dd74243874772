"""Course folders and templates on disk, read into plain texts: the author's side of a revision."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha1, sha256
from pathlib import Path

from course.curriculum import ABOUT_FILE, COURSE_FILE, LESSON_NAME, language_of
from course.errors import NotFoundError
from course.plain_files import Folder, plain_text
from course.settings import SOURCE_ROOT


@dataclass(frozen=True, slots=True)
class Source:
    """A course as it lies on disk now: `files` maps paths inside the revision to their text.

    Course files keep their bare names; templates stand under `templates/…`.
    """

    slug: str
    folder: Path
    files: Mapping[str, str]
    git_commit: str | None

    @property
    def content_hash(self) -> str:
        return content_hash(self.files)


def content_hash(files: Mapping[str, str]) -> str:
    digest = sha256()
    for name in sorted(files):
        for part in (name, files[name]):
            digest.update(len(part.encode()).to_bytes(8, "big") + part.encode())
    return digest.hexdigest()


def course_folders(home: Path) -> list[Path]:
    """The folders of `lessons/` that hold a course, in the order of their names."""
    return folders_in(home / "lessons")


def folders_in(courses: Path) -> list[Path]:
    if not courses.is_dir():
        return []
    return sorted(path for path in courses.iterdir() if (path / COURSE_FILE).is_file())


def read(home: Path, slug: str) -> Source:
    """Read one course folder and the templates that mails are made with."""
    return read_folder(home / "lessons" / slug, home)


def read_folder(folder: Path, home: Path) -> Source:
    """The same of a course folder that may lie anywhere, with the templates of that home."""
    if not folder.is_dir():
        known = ", ".join(path.name for path in folders_in(folder.parent)) or "none"
        raise NotFoundError(f"No course {folder.name!r} in {folder.parent}; there is: {known}")
    plain = Folder(folder)
    raw = {path.name: plain.read(path) for path in sorted(folder.iterdir()) if _belongs(path)}
    files = {name: plain_text(folder / name, found) for name, found in raw.items()}
    commit = _git_commit(folder, raw)
    return Source(folder.name, folder, files | read_templates(home, language_of(files)), commit)


def read_templates(home: Path, language: str | None = None) -> dict[str, str]:
    """The mail templates and the texts of that language, or of each: the home's own before those
    that come with the program.

    What another language says, or that its file is broken, is nothing to a course that does not
    speak it.
    """
    found: dict[str, str] = {}
    for templates in _both(home):
        plain = Folder(templates)
        for path in _template_files(templates, language):
            found[f"templates/{path.relative_to(templates).as_posix()}"] = plain.text(path)
    return found


def web_templates(home: Path) -> dict[str, tuple[str, str]]:
    """The pages' templates by name, each with its file, in the same order of preference."""
    found: dict[str, tuple[str, str]] = {}
    for templates in _both(home):
        plain = Folder(templates)
        for path in sorted((templates / "web").rglob("*.j2")):
            found[path.relative_to(templates).as_posix()] = (plain.text(path), str(path))
    return found


def _both(home: Path) -> tuple[Path, Path]:
    return SOURCE_ROOT / "templates", home / "templates"


def _template_files(templates: Path, language: str | None) -> Iterator[Path]:
    yield from sorted((templates / "email").rglob("*.j2"))
    # Listed, not opened by name: a language comes from a course's file.
    texts = sorted((templates / "texts").glob("*.toml"))
    yield from (path for path in texts if language in (None, path.stem))


def _belongs(path: Path) -> bool:
    return path.name in (COURSE_FILE, ABOUT_FILE) or bool(LESSON_NAME.match(path.name))


def _git_commit(folder: Path, files: Mapping[str, bytes]) -> str | None:
    """The commit of the course's repository, marked when files differ from it; None outside.

    Git obeys the settings of the repository that it looks into, and they may be a stranger's. So
    it is asked for nothing that runs a program which is named there: it does not compare with the
    files (filters, hooks, monitors), and fetches nothing.
    """
    commit = _git(folder, "describe", "--always", "--abbrev=12").strip()
    if not commit:
        return None
    lines = filter(None, _git(folder, "ls-tree", "-z", "HEAD").split("\0"))
    kept = {name: about.split()[2] for about, _, name in (line.partition("\t") for line in lines)}
    lacks = any(_belongs(folder / name) for name in kept.keys() - files.keys())
    differs = any(kept.get(name) not in _object_names(raw) for name, raw in files.items())
    return f"{commit}-dirty" if lacks or differs else commit


def _object_names(raw: bytes) -> tuple[str, str]:
    """What Git calls such a file, by either of the hashes that a repository may use."""
    whole = b"blob %d\0" % len(raw) + raw
    return sha1(whole, usedforsecurity=False).hexdigest(), sha256(whole).hexdigest()


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],  # noqa: S607
            capture_output=True,
            text=True,
            errors="replace",
            timeout=5,
            check=False,
            env={**os.environ, "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
