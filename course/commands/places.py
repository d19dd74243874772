"""Where an author's courses lie: in the home, or where `--in` says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from course import sources
from course.curriculum import COURSE_FILE
from course.errors import NotFoundError
from course.sources import Source

in_option = click.option(
    "--in",
    "inside",
    metavar="PATH",
    type=click.Path(file_okay=False, path_type=Path),
    help="Another home, or a folder of courses.",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of courses, and the home whose templates their mails are made with."""

    courses: Path
    home: Path
    shown: Path  # the folder as its author knows it
    only: str | None = None  # the one course that was named by its own folder

    def folders(self, names: Sequence[str]) -> list[Path]:
        """The folders of these courses, or of all; NotFoundError where there is none."""
        known = [self.courses / self.only] if self.only else sources.folders_in(self.courses)
        if not known and not names:
            raise NotFoundError(
                f"No course in {self.courses}. Make one with: minicourse course new NAME"
            )
        for name in names:
            if not self.has(name):
                there = ", ".join(path.name for path in known) or "none"
                raise NotFoundError(f"No course {name!r} in {self.courses}; there is: {there}")
        return [self.courses / name for name in dict.fromkeys(names)] or known

    def has(self, name: str) -> bool:
        return (self.courses / name).is_dir() and self.only in (None, name)

    def read(self, slug: str) -> Source:
        """One course as it lies there; NotFoundError names those that do."""
        return sources.read_folder(self.folders([slug])[0], self.home)

    def every(self) -> list[Source]:
        return [sources.read_folder(folder, self.home) for folder in self.folders([])]

    def where(self, slug: str) -> str:
        """What stands before the files of a course when they are named."""
        path = self.shown if self.only else self.shown / slug
        return "" if path == Path() else f"{path.as_posix()}/"


def place(inside: Path | None, home: Path) -> Place:
    """What `--in` means: a home, which has its courses in `lessons/`; a folder that has courses
    in itself, or is called `lessons`; or, to look at, one course."""
    if inside is None:
        return Place(home / "lessons", home, Path("lessons"))
    path = inside.expanduser()
    folder = path.resolve()
    if (folder / COURSE_FILE).is_file():
        return Place(folder.parent, _home_of(folder.parent), path, only=folder.name)
    if (folder / "lessons").is_dir() or not (
        folder.name == "lessons" or sources.folders_in(folder)
    ):
        return Place(folder / "lessons", folder, path / "lessons")
    return Place(folder, _home_of(folder), path)


def _home_of(courses: Path) -> Path:
    return courses.parent if courses.name == "lessons" else courses
