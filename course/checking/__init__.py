"""Is a course fit to be sent? Everything that can be known before it is, all of it at once.

`check` takes a course's files and says what is wrong with them, as `Finding`s with file and line;
it reads nothing and asks nobody, and no text makes it raise. `folder.read` is for what lies on a
disk, `online.probe` for links on the web.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from course import markdown, nesting
from course.checking import contrast, links, page, texts
from course.checking.findings import Finding, Rule, Severity, in_order
from course.checking.links import Link
from course.checking.mails import Trial
from course.checking.reading import Reading, read
from course.curriculum import ABOUT_FILE, COURSE_FILE, LESSON_NAME, LONGEST_OF
from course.front_matter import line_of
from course.rendering import Site
from course.sources import Source

__all__ = ["Finding", "Link", "Rule", "Severity", "Survey", "check", "survey"]

_SHEET = "#ffffff"  # what a mail is written on
_SEEN_FROM = 1.3


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found, and the links of others that `online.probe` may ask for."""

    lessons: int
    findings: list[Finding]
    links: list[Link]


def check(source: Source, site: Site, *, where: str | None = None) -> list[Finding]:
    """All that is wrong with a course, by file and line; empty when it may be sent.

    `where` stands before the name of each of its files: the folder as the author knows it.
    """
    return survey(source, site, where=where).findings


def survey(
    source: Source, site: Site, *, where: str | None = None, unread: Sequence[Finding] = ()
) -> Survey:
    """The same, with what was looked at. Files that `unread` tells of are there, though `source`
    lacks them."""
    where = f"lessons/{source.slug}/" if where is None else where
    reading = read(source.slug, source.files, where, {one.file for one in unread})
    trial = Trial(reading, site)
    if reading.course:
        trial.run()
    about = _about(reading, site)
    findings = [
        *reading.findings,
        *_brand(reading),
        *_words(reading, source),
        *trial.findings,
        *about.findings,
    ]
    lessons = sum(bool(LESSON_NAME.match(name)) for name in source.files)
    return Survey(lessons, in_order(findings), list(dict.fromkeys(trial.links + about.links)))


def _brand(reading: Reading) -> Iterator[Finding]:
    """Lines and edges, no words, are in its colour: what is paler than this is not there at all."""
    if reading.course is None:
        return
    color = reading.course.brand.color
    ratio = contrast.ratio(color, _SHEET)
    if ratio is not None and ratio < _SEEN_FROM:
        line = 1 + line_of(reading.files[COURSE_FILE], ["brand", "color"])
        what = f"brand.color {color} is {ratio:.1f} : 1 on the white of a mail: nobody sees it"
        mend = f"Take a darker one, of {_SEEN_FROM} : 1 or more."
        yield Finding(Rule.CONTRAST, reading.shown(COURSE_FILE), line, what, mend)


def _words(reading: Reading, source: Source) -> Iterator[Finding]:
    """What is in the texts themselves, also of files that could not be read as a lesson."""
    for name, text in source.files.items():
        if name in (COURSE_FILE, ABOUT_FILE) or LESSON_NAME.match(name):
            yield from texts.placeholders(name, reading.shown(name), text)
    lessons = reading.course.lessons if reading.course else ()
    sound = [lesson for lesson in lessons if lesson.file not in reading.set_aside]
    for lesson in sound:
        yield from texts.preheaders(reading.shown(lesson.file), lesson)
    yield from texts.twins(reading.where, sound)


def _about(reading: Reading, site: Site) -> Survey:
    """The course's page: its links may start at the site, else the rules are those of a mail."""
    text, shown = reading.files.get(ABOUT_FILE, ""), reading.shown(ABOUT_FILE)
    html = markdown.to_html(text[: LONGEST_OF[ABOUT_FILE]])
    if what := nesting.fault(html):
        return Survey(0, [Finding(Rule.COURSE, shown, 1, what, "Or write it as Markdown.")], [])
    found = page.read(html)
    findings, known = [], []
    for url in dict.fromkeys(found.links):
        if url.startswith(("/", "#", site.public_url)):
            continue
        line = texts.line_of_word(text, url)
        if fault := links.judge(url):
            findings.append(Finding(fault.rule, shown, line, fault.what, fault.mend))
        if links.is_of_the_web(url):
            known.append(Link(url, shown, line))
    return Survey(0, findings, known)
