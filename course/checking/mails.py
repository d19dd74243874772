"""All mails of a course, rendered for everybody, whatever that brings to light."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from course import fields, rendering
from course.checking.findings import Finding, Rule
from course.checking.links import Link
from course.checking.looks import LOOKS, Case, Copy, first_line, probable
from course.checking.reading import Reading, place_of
from course.checking.scanning import in_jinja
from course.curriculum import COURSE_FILE, Lesson
from course.errors import CourseError
from course.rendering import CompiledCourse, Message, Site
from course.samples import PEOPLE, people

_MOST_NAMES = 20
_UNDEFINED = re.compile(r"'(\w+)' is not defined")
# Stands in the place of a lesson's text, to see what is the layout's.
_MARK = "thelessonstext"
# No layout says so much by itself.
_MANY_WORDS = 200


@dataclass
class Trial:
    """All mails of a course, tried with everybody."""

    reading: Reading
    site: Site
    findings: list[Finding] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    def run(self) -> None:
        """Never raises: what a mail does to the renderer is a finding, too."""
        reading = self.reading
        try:
            course = self._load(reading.files)
        except Exception as error:
            self._blame(error, (reading.shown(COURSE_FILE), 1))
            return
        try:
            fields.Conditions(course.course, reading.where).try_out()
        except CourseError as error:
            self._blame(error, (reading.shown(COURSE_FILE), 1))
        for lesson in course.course.lessons:
            self._try(course, lesson, "lesson", partial(self._message, course, lesson))
        for name, layout in rendering.SYSTEM_LAYOUTS.items():
            self._try(course, None, layout, partial(course.system, name))

    def _load(self, files: Mapping[str, str]) -> CompiledCourse:
        return rendering.load_course("course", files, self.site, where=self.reading.where)

    def _try(
        self,
        course: CompiledCourse,
        lesson: Lesson | None,
        layout: str,
        made: Callable[[], Message],
    ) -> None:
        place = (course.texts_file, 1)
        if lesson:
            place = (self.reading.shown(lesson.file), first_line(lesson))
        try:
            copies = self._copies(course, made(), place)
            case = Case(self.reading, self.site, course, lesson, layout, copies)
            for look in LOOKS:
                self.findings += look(case)
            self.findings += self._text(case)
            self.links += probable(case)
        except Exception as error:
            self._blame(error, place)

    def _message(self, course: CompiledCourse, lesson: Lesson) -> Message:
        try:
            return course.lesson(lesson.slug)
        except CourseError as error:
            self._tell_more_names(lesson, error)
            raise

    def _tell_more_names(self, lesson: Lesson, error: CourseError) -> None:
        """Where a lesson uses names that nobody knows, the compiler tells the first alone."""
        files, place = self.reading.files, (self.reading.shown(lesson.file), lesson.body_line)
        found: CourseError | None = error
        for _ in range(_MOST_NAMES):
            name = found and _UNDEFINED.match(place_of(found)[2])
            if not found or not name or place_of(found)[0] != place[0]:
                return
            self._blame(found, place)
            files = {**files, lesson.file: _with_known(files[lesson.file], name[1])}
            found = self._refusal(files, lesson)

    def _refusal(self, files: Mapping[str, str], lesson: Lesson) -> CourseError | None:
        try:
            self._load(files).lesson(lesson.slug)
        except CourseError as error:
            return error
        return None

    def _copies(
        self, course: CompiledCourse, message: Message, place: tuple[str, int]
    ) -> list[Copy]:
        """Everybody's mail. A fault that some people's values alone bring names them."""
        copies: list[Copy] = []
        faults: dict[tuple[str, int], tuple[Exception, list[str]]] = {}
        for sample in people(course.course):
            values = course.values(sample.person)
            try:
                skeleton = message.skeleton(message.key(values))
                copies.append(Copy(sample, values, skeleton, message.mail(values)))
            except Exception as error:
                faults.setdefault(place_of(error)[:2], (error, []))[1].append(sample.label)
        for fault, labels in faults.values():
            who = "" if len(labels) == len(PEOPLE) else f" (as: {'; '.join(labels)})"
            self._blame(fault, place, who)
        return copies

    def _text(self, case: Case) -> Iterator[Finding]:
        """Whether something is left of the text part when the layout is taken away."""
        words = {copy.sample: copy.mail.text.split() for copy in case.copies}
        if case.lesson is None or min(map(len, words.values()), default=_MANY_WORDS) >= _MANY_WORDS:
            return
        bare = self._load(_without_texts(self.reading)).lesson(case.lesson.slug)
        for copy in case.copies:
            if words[copy.sample] == bare.mail(copy.values).text.replace(_MARK, "").split():
                what = f"the text part says nothing (as: {copy.sample.label})"
                mend = "Write a sentence outside of HTML, pictures and `if`."
                yield case.finding(Rule.TEXT_EMPTY, what, mend)
                return

    def _blame(self, error: Exception, place: tuple[str, int], who: str = "") -> None:
        """Tell an error where it says that it is, else at that place."""
        file, line, what = place_of(error)
        known = file in map(self.reading.shown, self.reading.files)
        if not known and not file.endswith((".j2", ".toml")):
            (file, line), what = place, str(error) or type(error).__name__
        # Names may be declared in a course.toml that could not be read.
        if _UNDEFINED.match(what) and COURSE_FILE in self.reading.set_aside:
            return
        self.findings.append(Finding(Rule.TEMPLATE, file, line, f"{what}{who}", _mend(what)))


def _mend(what: str) -> str:
    if _UNDEFINED.match(what):
        return "Write a name that is known, or take it out; for a word, leave the braces off."
    return "docs/authoring.md, “Names and choices: Jinja”, shows what may stand there."


def _with_known(text: str, name: str) -> str:
    """The text with another name, one that is known, for this one; only to look further."""
    word = re.compile(rf"\b{re.escape(name)}\b")
    return in_jinja(text, lambda found: word.sub("texts", found))


def _without_texts(reading: Reading) -> dict[str, str]:
    """The files with one word for each lesson's text."""
    files = dict(reading.files)
    for lesson in reading.course.lessons if reading.course else ():
        head = files[lesson.file].split("\n")[: lesson.body_line - 1]
        files[lesson.file] = "\n".join([*head, _MARK, ""])
    return files
