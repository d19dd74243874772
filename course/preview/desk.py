"""A course on its author's desk: read again whenever a file has changed, and rendered by the
renderer that sends."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from pathlib import Path
from threading import Lock

from course import rendering, samples, sources
from course.checking.looks import CLIPPED_BYTES
from course.curriculum import COURSE_FILE, LESSON_NAME
from course.errors import MinicourseError
from course.merging import Mail
from course.preview.faults import Fault, fault_of
from course.rendering import CompiledCourse, Message, Recipient, Site
from course.settings import SOURCE_ROOT

LESSON, SYSTEM = "lesson", "system"

_HIDDEN = re.compile(
    r'<(div|span|p)\s[^<>]{0,200}class="[^"<>]{0,200}\bpreheader\b[^<>]{0,200}>(.{0,9999}?)</\1>',
    re.S,
)
_TAG = re.compile(r"<[^<>]*>")
# They fill an inbox's line, so that nothing else is in it.
_FILLING = re.compile("[\u00a0\u034f\u200b-\u200f\u2060\ufeff]+")


@dataclass(frozen=True, slots=True)
class Sheet:
    """One mail of the course as one reader would get it, or what is wrong with it."""

    kind: str  # lesson, or system for a mail of the program's own
    slug: str
    mail: Mail | None = None
    fault: Fault | None = None

    @property
    def size(self) -> int:
        """Bytes of HTML."""
        return len(self.mail.html.encode()) if self.mail else 0

    @property
    def is_clipped(self) -> bool:
        return self.size > CLIPPED_BYTES

    @property
    def preheader(self) -> str:
        """What an inbox shows behind the subject; the mail itself hides it."""
        found = _HIDDEN.search(self.mail.html) if self.mail else None
        words = unescape(_TAG.sub("", found[2])) if found else ""
        return " ".join(_FILLING.sub(" ", words).split())


@dataclass(frozen=True, slots=True)
class Draft:
    """The course's files at one moment: a course, or what is wrong with all of it."""

    stamp: str
    files: Mapping[str, str] = field(default_factory=dict)
    course: CompiledCourse | None = None
    fault: Fault | None = None


class Desk:
    """Holds the newest draft; may be asked by several threads."""

    def __init__(self, folder: Path, home: Path, site: Site, where: str) -> None:
        """The course's folder, the home whose templates its mails are made with, and what stands
        before the names of its files."""
        self.slug = folder.name
        self._folder = folder
        self._home = home
        self._site = site
        self._where = where
        self._draft = Draft("")
        self._lock = Lock()

    def stamp(self) -> str:
        """The same as long as no file of the course or of the mails' templates has changed."""
        digest = sha256()
        for path in sorted(self._watched()):
            try:
                found = path.lstat()  # no link is followed
            except OSError:  # an editor is just putting it in its place
                continue
            digest.update(f"{path} {found.st_mtime_ns} {found.st_size}\n".encode())
        return digest.hexdigest()[:16]

    def sheets(self, reader: Recipient) -> tuple[Draft, list[Sheet]]:
        """Every mail of the newest draft for that reader. Of a course that cannot be read, the
        lessons are those that its folder names."""
        with self._lock:
            draft = self._newest()
            if draft.course is None:
                return draft, [Sheet(LESSON, slug) for slug in _slugs(draft.files)]
            return draft, list(self._rendered(draft, draft.course, reader))

    def _watched(self) -> Iterator[Path]:
        yield from self._folder.glob("*")
        for root in {SOURCE_ROOT, self._home}:
            for folder in ("email", "texts"):
                yield from (root / "templates" / folder).rglob("*")

    def _newest(self) -> Draft:
        # Asked before the files are read: what is saved in between makes another stamp.
        stamp = self.stamp()
        if stamp != self._draft.stamp:
            self._draft = self._read(stamp)
        return self._draft

    def _read(self, stamp: str) -> Draft:
        files: Mapping[str, str] = {}
        try:
            files = sources.read_folder(self._folder, self._home).files
            course = rendering.load_course(self.slug, files, self._site, where=self._where)
        except (MinicourseError, OSError) as error:
            return Draft(stamp, files, fault=fault_of(error, files))
        return Draft(stamp, files, course)

    def _rendered(self, draft: Draft, course: CompiledCourse, reader: Recipient) -> Iterator[Sheet]:
        values = course.values(samples.dressed(reader, course.course))

        def sheet(kind: str, slug: str) -> Sheet:
            try:
                return Sheet(kind, slug, _message(course, kind, slug).mail(values))
            except Exception as error:  # whatever a reader's values make of an expression
                return Sheet(kind, slug, fault=fault_of(error, draft.files))

        yield from (sheet(LESSON, lesson.slug) for lesson in course.course.lessons)
        yield from (sheet(SYSTEM, str(name)) for name in rendering.SYSTEM_LAYOUTS)


def _message(course: CompiledCourse, kind: str, slug: str) -> Message:
    if kind == LESSON:
        return course.lesson(slug)
    return course.system(slug)


def _slugs(files: Mapping[str, str]) -> list[str]:
    names = (LESSON_NAME.match(name) for name in sorted(files) if name != COURSE_FILE)
    return [found[2] for found in names if found]
