"""A look at the whole set-up: each check says what it saw, or what is wrong and how to mend it."""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from course import courses, installation, rendering, sources
from course.db import Database, open_database, shown
from course.errors import CourseError, MinicourseError
from course.processes import ports
from course.settings import Settings
from course.states import Mode


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `remedy` is None where all is well."""

    name: str
    found: str
    remedy: str | None = None

    @property
    def is_well(self) -> bool:
        return self.remedy is None


def examine(load: Callable[[], Settings]) -> Iterator[Check]:
    """All checks in the order in which one needs the other; stops where no further one can run."""
    try:
        settings = load()
    except MinicourseError as error:
        yield Check("settings", str(error), "Set them right and run again: minicourse doctor")
        return
    yield Check("settings", f"read from the environment and {settings.home / '.env'}")
    yield from _unknown_names(settings)
    yield from _courses(settings)
    yield _mail(settings)
    try:
        database = open_database(settings)
    except MinicourseError as error:
        yield Check("database", *_parted(error))
        return
    try:
        yield Check("database", f"{shown(settings)}, with this version's tables")
        yield _mode(database, settings)
        yield from _live_courses(database)
    finally:
        database.dispose()


def _unknown_names(settings: Settings) -> Iterator[Check]:
    for name in Settings.unknown_names(settings.home):
        near = difflib.get_close_matches(name, [field.upper() for field in Settings.model_fields])
        hint = f"; did you mean {near[0]}?" if near else ""
        where = settings.home / ".env"
        yield Check("settings", f"{name} in {where} is no setting{hint}", f"Mend it in {where}")


def _courses(settings: Settings) -> Iterator[Check]:
    folders = sources.course_folders(settings.home)
    if not folders:
        where = settings.home / "lessons"
        remedy = "Make a folder in it with course.toml, about.md and 01-….md"
        yield Check("courses", f"there is none in {where}", remedy)
    for folder in folders:
        yield _source(settings, folder.name)


def _source(settings: Settings, slug: str) -> Check:
    name = f"course {slug}"
    try:
        source = sources.read(settings.home, slug)
        found = rendering.compile_course(slug, source.files, where=f"lessons/{slug}/")
    except CourseError as error:
        return Check(name, str(error), f"Mend that line; then: {courses.step_to_live(slug)}")
    return Check(name, f"{len(found.course.lessons)} lessons, all of them compile")


def _mail(settings: Settings) -> Check:
    if not settings.sandboxed:
        return Check("mail", f"goes through {settings.mail_host}")
    if ports.is_listening(settings.mail_host):
        return Check("mail", f"goes to the sandbox at {settings.mail_host}")
    return Check(
        "mail", f"nobody takes it at {settings.mail_host}", "Start the stand-in: minicourse sandbox"
    )


def _mode(database: Database, settings: Settings) -> Check:
    """Whether these settings belong to this database."""
    with database.reading() as session:
        try:
            installation.check(session, settings)
        except MinicourseError as error:
            return Check("mode", *_parted(error))
        here = installation.get(session)
    if here.mode == Mode.LIVE:
        return Check("mode", f"live since {here.live_since:%Y-%m-%d}")
    return Check("mode", "sandbox: nobody is mailed; for real mail run: minicourse live")


def _live_courses(database: Database) -> Iterator[Check]:
    """What is sent compiles with this version of the program, whatever lies on disk."""
    with database.reading() as session:
        live = courses.all_live(session)
        files = {
            course.slug: courses.revision_files(session, course.revision_id) for course in live
        }
    for course in live:
        name = f"live {course.slug}"
        try:
            rendering.compile_course(*files[course.slug])
        except CourseError as error:
            yield Check(name, str(error), f"Mend it; then: minicourse course apply {course.slug}")
        else:
            yield Check(name, f"revision {course.revision_number}, {course.state}")


def _parted(error: MinicourseError) -> tuple[str, str]:
    """Our errors say what is wrong first, and then what to do."""
    wrong, _, remedy = str(error).partition(". ")
    return wrong, remedy or "See the settings in .env.example"
