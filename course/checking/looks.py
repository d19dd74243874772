"""A mail as everybody would get it, looked at as a whole: sizes, links, pictures, colours, foot."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from course.checking import contrast, links, page
from course.checking.findings import Finding, Rule
from course.checking.links import Fault, Link
from course.checking.page import Page
from course.checking.reading import Reading
from course.curriculum import COURSE_FILE, Lesson
from course.front_matter import line_of
from course.merging import Mail, Skeleton
from course.packing import SUBSTITUTION_BYTES
from course.rendering import TO_STRANGERS, CompiledCourse, Site
from course.samples import Sample

SUBJECT_LETTERS = 70
CLIPPED_BYTES = 102 * 1024
LARGE_BYTES = 90 * 1024
TAGS = 100


@dataclass(frozen=True, slots=True)
class Copy:
    """One reader's mail, and what it was merged from."""

    sample: Sample
    values: Mapping[str, Any]
    skeleton: Skeleton
    mail: Mail


@dataclass
class Case:
    """One message of the course, as everybody gets it."""

    reading: Reading
    site: Site
    course: CompiledCourse
    lesson: Lesson | None  # None for the program's own mails
    layout: str
    copies: Sequence[Copy]

    @cached_property
    def pages(self) -> list[tuple[Skeleton, Page]]:
        """Each form that the mail takes, once, however many get it."""
        forms = {id(copy.skeleton): copy.skeleton for copy in self.copies}
        return [(skeleton, page.read(skeleton.html)) for skeleton in forms.values()]

    @property
    def start(self) -> tuple[str, int]:
        """Where what belongs to no line is told."""
        if self.lesson is None:
            return self.course.texts_file, 1
        return self.reading.shown(self.lesson.file), first_line(self.lesson)

    def finding(
        self, rule: Rule, what: str, mend: str, at: tuple[str, int] | None = None
    ) -> Finding:
        return Finding(rule, *(at or self.start), what, mend)

    def where(self, *words: str) -> tuple[str, int]:
        """The first file and line in which one of these stands, the lesson's own before others."""
        own = [self.lesson.file] if self.lesson else []
        others = sorted(name for name in self.reading.files if name.startswith("templates/"))
        for name in (*own, COURSE_FILE, self.course.texts_file, *others):
            lines = self.reading.files.get(name, "").split("\n")
            for word in filter(None, words):
                for number, line in enumerate(lines, 1):
                    if word in line:
                        return self.reading.shown(name), number
        return self.start


def first_line(lesson: Lesson) -> int:
    """Where its text begins, past the blank lines below the head."""
    blank = lesson.body[: len(lesson.body) - len(lesson.body.lstrip())]
    return lesson.body_line + blank.count("\n")


def _subject(case: Case) -> Iterator[Finding]:
    lesson = case.lesson
    at = (case.start[0], lesson.subject_line) if lesson else case.start
    for copy in case.copies:
        if not copy.mail.subject.strip():
            who = copy.sample.label
            mend = "Say what stands there for such a reader: {{ name or 'A note' }}."
            yield case.finding(Rule.SUBJECT_EMPTY, f"no subject for: {who}", mend, at)
            return
    # The shortest is nobody's fault but the author's: names come and go.
    letters = min((len(copy.mail.subject) for copy in case.copies), default=0)
    if lesson and letters > SUBJECT_LETTERS:
        what = f"the subject has {letters} letters"
        mend = f"Cut it to {SUBJECT_LETTERS}, with what matters in the first 40."
        yield case.finding(Rule.SUBJECT_LONG, what, mend, at)


def _size(case: Case) -> Iterator[Finding]:
    most = max((len(copy.mail.html.encode()) for copy in case.copies), default=0)
    what = f"the mail’s HTML has {most / 1024:.0f} KB"
    mend = "Make two lessons of it, or take out what is long; pictures do not count."
    if most > CLIPPED_BYTES:
        yield case.finding(Rule.HTML_CLIPPED, what, mend)
    elif most > LARGE_BYTES:
        yield case.finding(Rule.HTML_LARGE, what, mend)


def _merging(case: Case) -> Iterator[Finding]:
    for copy in case.copies:
        values = copy.skeleton.substitutions(copy.values)
        weight = len("".join((*values, *values.values())).encode())
        if weight > SUBSTITUTION_BYTES:
            what = f"{weight:,} bytes of a reader’s own values (as: {copy.sample.label})"
            mend = f"Print fewer or shorter ones: {SUBSTITUTION_BYTES:,} bytes fit."
            yield case.finding(Rule.MERGE_LARGE, what, mend)
            break
    tags = max((len(copy.skeleton.tags) for copy in case.copies), default=0)
    if tags > TAGS:
        what = f"{tags} different expressions of a reader’s own values"
        mend = f"Write the same expression the same way each time; {TAGS} are plenty."
        yield case.finding(Rule.MERGE_MANY, what, mend)


def _footing(case: Case) -> Iterator[Finding]:
    """The address and the way out must be in both parts."""
    layout = "in templates/email/"
    lines = [" ".join(line.split()) for line in case.site.postal_address.splitlines()]
    for copy in {id(one.skeleton): one for one in case.copies}.values():
        found = page.read(copy.mail.html)
        out = str(copy.values["unsubscribe_url"])
        parts = {
            "HTML": (found.text, out in found.links),
            "text": (" ".join(copy.mail.text.split()), out in copy.mail.text),
        }
        for part, (words, has_out) in parts.items():
            if not any(lines) or not all(line in words for line in lines):
                what = f"no postal address in the {part} part"
                mend = f"Print {{{{ postal_address }}}} {layout}, and set POSTAL_ADDRESS."
                yield case.finding(Rule.ADDRESS_MISSING, what, mend, _layout(case, part))
            if not has_out and case.layout not in TO_STRANGERS:
                what = f"no link to unsubscribe in the {part} part"
                mend = f"Print {{{{ unsubscribe_url }}}} {layout} as it is, in HTML as a link."
                yield case.finding(Rule.UNSUBSCRIBE_MISSING, what, mend, _layout(case, part))


def _layout(case: Case, part: str) -> tuple[str, int]:
    """The layout at the bottom, on which the others build."""
    name = f"email/{case.layout}.{'html' if part == 'HTML' else 'txt'}.j2"
    for _ in case.reading.files:
        text = case.reading.files.get(f"templates/{name}", "")
        below = re.search(r"\{%-?\s*extends\s+[\"']([^\"']+)", text)
        if not below:
            break
        name = below[1]
    return f"templates/{name}", 1


def _addresses(case: Case) -> Iterator[Finding]:
    for skeleton, found in case.pages:
        for url in dict.fromkeys(found.links):
            if not _is_ours(url, skeleton, case.site):
                yield from _faulty(case, url, links.judge(url))
        for image in dict.fromkeys(found.images):
            if not _is_ours(image.address, skeleton, case.site):
                yield from _faulty(case, image.address, links.judge_image(image.address))
            at = case.where(*_spellings(image.address))
            if not (image.alt or "").strip() and not _is_ornament(case, image):
                what = "a picture without words in its place"
                mend = 'Write ![what it shows](address); if it shows nothing, <img … alt="">.'
                yield case.finding(Rule.IMAGE_ALT, what, mend, at)
        if case.lesson and (words := links.left_over(found.runs)):
            what = f"a link that Markdown did not understand: “{words}”"
            mend = "Write [words](https://…), without a blank between or in the address."
            yield case.finding(Rule.LINK_BROKEN, what, mend, case.where("](", "] (", "]["))


def _faulty(case: Case, url: str, fault: Fault | None) -> Iterator[Finding]:
    if fault:
        at = case.where(*_spellings(url)) if url.strip("#") else case.where("]()", 'href=""')
        yield case.finding(fault.rule, fault.what, fault.mend, at)


def _spellings(url: str) -> tuple[str, ...]:
    """As it stands in the mail, and as its author may have written it."""
    return url, unquote(url), url.replace("&", "&amp;")


def _is_ours(url: str, skeleton: Skeleton, site: Site) -> bool:
    """The program's own links: each reader has others, and they work or nothing does."""
    return url.startswith(site.public_url) or any(url == tag.text for tag in skeleton.tags)


def _is_ornament(case: Case, image: page.Image) -> bool:
    """`<img … alt="">` was written on purpose; `![](…)` was not."""
    text = case.reading.files.get(case.lesson.file, "") if case.lesson else ""
    tags = re.findall(r"<img\b[^<>]*>", text, re.IGNORECASE)
    return image.alt is not None and any(image.address in tag for tag in tags)


def probable(case: Case) -> Iterator[Link]:
    """The links that are the same for everybody, and not ours."""
    for skeleton, found in case.pages:
        for url in (*found.links, *(image.address for image in found.images)):
            personal = any(tag.text in url for tag in skeleton.tags)
            own = _is_ours(url, skeleton, case.site)
            if not personal and not own and links.is_of_the_web(url):
                yield Link(url, *case.where(*_spellings(url)))


def _colors(case: Case) -> Iterator[Finding]:
    for skeleton, _ in case.pages:
        for faint in contrast.faint(skeleton.html):
            what = (
                f"{faint.color} on {faint.background} is {faint.ratio:.1f} : 1 "
                f"in the {faint.scheme} scheme"
            )
            mend = "Take a darker or a lighter one, until the ratio is 4.5 : 1 or more."
            yield case.finding(Rule.CONTRAST, what, mend, _of_color(case, faint))


def _of_color(case: Case, faint: contrast.Faint) -> tuple[str, int]:
    """The brand's line where it is the brand's colour, else where the colour is written."""
    brand = case.course.course.brand.color.lower()
    if brand in (faint.color, faint.background):
        line = 1 + line_of(case.reading.files[COURSE_FILE], ["brand", "color"])
        return case.reading.shown(COURSE_FILE), line
    return case.where(f"color: {faint.color}", f"color:{faint.color}", faint.color)


LOOKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _subject,
    _size,
    _merging,
    _footing,
    _addresses,
    _colors,
)
