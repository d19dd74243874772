"""Course folders and templates on disk, read into plain texts: the author's side of a revision."""

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from course.curriculum import ABOUT_FILE, COURSE_FILE, LESSON_NAME
from course.errors import CourseError, NotFoundError
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
    files = {path.name: _text(path) for path in sorted(folder.iterdir()) if _belongs(path)}
    return Source(folder.name, folder, files | read_templates(home), _git_commit(folder))


def read_templates(home: Path) -> dict[str, str]:
    """The mail templates and texts: the home's own before those that come with the program."""
    found: dict[str, str] = {}
    for root in (SOURCE_ROOT, home):
        for path in _template_files(root / "templates"):
            found[f"templates/{path.relative_to(root / 'templates').as_posix()}"] = _text(path)
    return found


def _template_files(templates: Path) -> Iterator[Path]:
    yield from sorted((templates / "email").rglob("*.j2"))
    yield from sorted((templates / "texts").glob("*.toml"))


def _belongs(path: Path) -> bool:
    return path.name in (COURSE_FILE, ABOUT_FILE) or bool(LESSON_NAME.match(path.name))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{path}:1: cannot be read: {error}") from None


def _git_commit(folder: Path) -> str | None:
    """The commit of the course's repository, marked when files differ from it; None outside."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
