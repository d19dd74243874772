"""One renderer for all that is ever shown or sent: a course's files in, skeletons out.

The order is Jinja with merge tags → Markdown → layout → css-inline → substitution, so that no
personal value ever passes through Markdown or inlining: values are literal text.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from html.parser import HTMLParser
from secrets import token_hex
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from css_inline import CSSInliner
from jinja2 import nodes
from markupsafe import Markup

from course import bounds, curriculum, fields, front_matter, markdown, nesting
from course.curriculum import Course, Lesson
from course.dates import Dates, zone_name
from course.errors import CourseError, NotFoundError, TemplateError
from course.jinja import Part, refused
from course.merging import Key, Mail, Skeleton, Split, Splitter, Tag, merge
from course.states import LinkPurpose, MessageKind

PERSON_FIELDS = frozenset({"name", "email", "zone"})
LINK_FIELDS = frozenset({"unsubscribe_url", "manage_url"})
START_FIELDS = frozenset({"begins", "begins_zone"})
_NO_START = dict.fromkeys(START_FIELDS, "")
CONFIRM_FIELD = "confirm_url"
AWAITED_FIELD = "awaited"  # something, where the first day is still to come
LINK_FIELD = "link_url"  # of a short-lived link

# Mails of the program's own, by the name of their table in templates/texts.
SYSTEM_LAYOUTS: dict[str, str] = {
    MessageKind.CONFIRMATION: "confirmation",
    MessageKind.ALREADY: "notice",
    MessageKind.JOINED: "invitation",
    MessageKind.REMINDER: "invitation",
    "link-data": "link",
    "link-erase": "link",
    "link-name": "link",
    "link-address": "link",
    "link-new-address": "new_address",
}
# Whoever gets these has no page of ours yet, and may be a stranger.
TO_STRANGERS = frozenset({"new_address"})

# Nothing that a visitor typed may stand in a mail to an unconfirmed address.
_SYSTEM_FIELDS = {
    "confirmation": LINK_FIELDS | {CONFIRM_FIELD, AWAITED_FIELD},
    "invitation": PERSON_FIELDS | LINK_FIELDS | START_FIELDS,
    "link": PERSON_FIELDS | LINK_FIELDS | {LINK_FIELD},
    "new_address": LINK_FIELDS | {LINK_FIELD},
}

_inliner = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
_LITERAL_HOST = re.compile(r"https?://[^/\s{}]+/|mailto:")
# Attributes whose value only a person reads.
_READ_ATTRIBUTES = ("alt", "title", "aria-label")


@dataclass(frozen=True, slots=True)
class Site:
    """What the installation brings to each mail."""

    public_url: str = "http://127.0.0.1:8000"
    postal_address: str = ""
    reply_to: str = ""


class Start(NamedTuple):
    """The first lesson of somebody who waits for it, on their own clock; and when they are told."""

    at: datetime
    told_at: datetime


class Recipient(NamedTuple):
    """One person, as far as a mail may know them."""

    email: str
    name: str = ""
    zone: str = ""
    token: str = ""
    confirm_token: str = ""
    fields: str = ""  # the course's own, as an enrollment keeps them
    start: Start | None = None  # known to mails about it alone
    link_token: str = ""
    awaited: bool = False  # asked to confirm for a group whose first day is still to come

    def values(self, site: Site) -> dict[str, str]:
        """The recipient's fields as every mail may know them."""
        return {
            "name": self.name,
            "email": self.email,
            "zone": self.zone,
            "unsubscribe_url": f"{site.public_url}/unsubscribe/{self.token}",
            "manage_url": f"{site.public_url}/manage/{self.token}",
            CONFIRM_FIELD: f"{site.public_url}/confirm/{self.confirm_token}",
            LINK_FIELD: f"{site.public_url}/link/{self.link_token}",
            AWAITED_FIELD: "yes" if self.awaited else "",
        }


@dataclass(frozen=True, slots=True)
class _Text:
    """A template text and where its author finds it."""

    file: str
    line: int
    text: str

    @property
    def padded(self) -> str:
        # Blank lines in front give Jinja the file's own line numbers; Markdown passes them over.
        return "\n" * (self.line - 1) + self.text


@dataclass(frozen=True)
class _Draft:
    """A message before it is compiled."""

    key: str
    layout: str
    fields: frozenset[str]
    subject: _Text
    preheader: _Text
    body: _Text
    context: Mapping[str, Any]


class _Layout:
    """A layout, split once for all messages that stand in it."""

    def __init__(self, draft: _Draft, templates: Mapping[str, str], secret: str) -> None:
        self.splitter = Splitter(draft.fields, secret)
        known = set(draft.context) | {"title", "preheader", "body"}
        self.splits: dict[Part, Split] = {}
        for part, ending in ((Part.HTML, "html"), (Part.TEXT, "txt")):
            name = f"email/{draft.layout}.{ending}.j2"
            if name not in templates:
                raise TemplateError(f"templates/{name}:1: is missing")
            self.splits[part] = self.splitter.split(name, templates, part, known)


class Message:
    """A compiled mail of a course: who has the same key gets the same skeleton."""

    def __init__(self, draft: _Draft, layout: "_Layout") -> None:
        self.key_name = draft.key
        self._draft = draft
        self._layout = layout.splits
        self._splitter = layout.splitter.copy()
        self._skeletons: dict[Key, Skeleton] = {}
        self.skeletons_rendered = 0
        self._subject = self._split(draft.subject, Part.SUBJECT)
        self._title = {part: self._split(draft.subject, part) for part in (Part.HTML, Part.TEXT)}
        self._preheader = self._split(draft.preheader, Part.HTML)
        self._body = {part: self._split(draft.body, part) for part in (Part.HTML, Part.TEXT)}

    def key(self, values: Mapping[str, Any]) -> Key:
        return self._splitter.key(values)

    def skeleton(self, key: Key) -> Skeleton:
        """The finished mail but for its tags; made once for each key. Raises TemplateError."""
        if key not in self._skeletons:
            self._skeletons[key] = self._render(key)
            self.skeletons_rendered += 1
        return self._skeletons[key]

    def mail(self, values: Mapping[str, Any]) -> Mail:
        """The mail of one person: a group of one on the same path."""
        skeleton = self.skeleton(self.key(values))
        return merge(skeleton, skeleton.substitutions(values))

    def _split(self, text: _Text, part: Part) -> Split:
        sources = {text.file: text.padded}
        return self._splitter.split(text.file, sources, part, set(self._draft.context))

    def _render(self, key: Key) -> Skeleton:
        context = self._draft.context
        subject = _one_line(self._subject.render(context, key))
        if not subject:
            raise refused(self._draft.subject.file, self._draft.subject.line, "subject is empty")
        html, text = self._html(context, key), self._text(context, key)
        whole = subject + text + html
        tags = tuple(tag for tag in self._splitter.tags if tag.text in whole)
        return Skeleton(subject, text, html, tags)

    def _html(self, context: Mapping[str, Any], key: Key) -> str:
        body = self._fitting(markdown.to_html(self._rendered_body(Part.HTML, key)))
        if fault := nesting.fault(body):
            raise refused(self._draft.body.file, self._draft.body.line, fault)
        title = _one_line(self._title[Part.HTML].render(context, key))
        preheader = _one_line(self._preheader.render(context, key))
        # All three were made by autoescaping templates or by Markdown; values come in later.
        safe = {"title": Markup(title), "preheader": Markup(preheader), "body": Markup(body)}  # noqa: S704
        page = self._layout[Part.HTML].render({**context, **safe}, key)
        self._require_whole(body, page)
        _check_places(page, self._splitter.tags)
        inlined: str = _inliner.inline(page)
        return inlined

    def _text(self, context: Mapping[str, Any], key: Key) -> str:
        body = self._fitting(markdown.to_text(self._rendered_body(Part.TEXT, key)))
        page = self._layout[Part.TEXT].render(
            {
                **context,
                "title": _one_line(self._title[Part.TEXT].render(context, key)),
                "preheader": "",
                "body": body,
            },
            key,
        )
        self._require_whole(body, page)
        return page.strip() + "\n"

    def _rendered_body(self, part: Part, key: Key) -> str:
        return self._fitting(self._body[part].render(self._draft.context, key))

    def _fitting(self, text: str) -> str:
        """What follows reads all of it, some of it more than once."""
        if len(text) > bounds.LONGEST:
            body = self._draft.body
            words = f"the text is longer than {bounds.LONGEST:,} letters; no mail program shows it"
            raise refused(body.file, body.line, words)
        return text

    def _require_whole(self, body: str, page: str) -> None:
        """A layout that changes `{{ body }}` would break the tags in it."""
        for tag in self._splitter.tags:
            if page.count(tag.text) < body.count(tag.text):
                raise TemplateError(
                    f"templates/email/{self._draft.layout}: the layout must print {{{{ body }}}} "
                    "as it is"
                )


@dataclass(frozen=True)
class CompiledCourse:
    """All mails of one revision, each compiled when it is first asked for."""

    course: Course
    texts: Mapping[str, Any]
    texts_file: str
    texts_source: str
    layouts: Mapping[str, str]
    where: str
    site: Site
    secret: str
    _messages: dict[str, Message] = field(default_factory=dict)
    _layouts: dict[str, _Layout] = field(default_factory=dict)

    def values(self, person: Recipient) -> dict[str, Any]:
        """What the mails of this course may know of that person."""
        known: dict[str, Any] = person.values(self.site)
        known.update(fields.values(self.course, person.fields))
        known.update(self._start(person.start))
        return known

    def _start(self, start: Start | None) -> dict[str, str]:
        """As the language writes it, where its words say how."""
        if start is None:
            return _NO_START
        zone = start.at.tzinfo
        assert isinstance(zone, ZoneInfo)
        words = self.texts.get("web", {}).get("dates")
        shown = Dates(words).moment(start.at, zone) if words else f"{start.at:%Y-%m-%d %H:%M}"
        return {"begins": shown, "begins_zone": zone_name(zone)}

    def lesson(self, slug: str) -> Message:
        """The mail of a lesson; NotFoundError when the course has none of that slug."""
        return self._compiled(slug, lambda: self._lesson_draft(self.course.lesson(slug)))

    def system(self, name: str) -> Message:
        """A mail of the program's own, one of SYSTEM_LAYOUTS."""
        return self._compiled(f"system {name}", lambda: self._system_draft(name))

    def message(self, kind: MessageKind, message_key: str) -> Message:
        """A note's course has the note as its lesson; see `note_file`."""
        match kind:
            case MessageKind.LESSON:
                return self.lesson(message_key)
            case MessageKind.NOTE:
                return self.lesson(self.course.lessons[0].slug)
            case MessageKind.LINK:
                return self.system(f"link-{LinkPurpose.of(message_key)}")
        return self.system(kind)

    def every(self) -> Iterator[Message]:
        yield from (self.lesson(lesson.slug) for lesson in self.course.lessons)
        yield from (self.system(name) for name in SYSTEM_LAYOUTS)

    def _compiled(self, name: str, draft: Any) -> Message:
        if name not in self._messages:
            drafted = draft()
            self._messages[name] = Message(drafted, self._layout_of(drafted))
        return self._messages[name]

    def _layout_of(self, draft: _Draft) -> _Layout:
        # One layout serves one sort of mail, so its fields and context are the same each time.
        if draft.layout not in self._layouts:
            self._layouts[draft.layout] = _Layout(draft, self.layouts, self.secret)
        return self._layouts[draft.layout]

    def _lesson_draft(self, lesson: Lesson) -> _Draft:
        file = f"{self.where}{lesson.file}"
        number = {"number": lesson.number, "total": len(self.course.lessons)}
        return _Draft(
            key=lesson.slug,
            layout="lesson",
            fields=PERSON_FIELDS | LINK_FIELDS | self.course.fields.keys(),
            subject=_Text(file, lesson.subject_line, lesson.subject),
            preheader=_Text(file, lesson.preheader_line, lesson.preheader),
            body=_Text(file, lesson.body_line, lesson.body),
            context={
                **self._shared,
                "lesson": {"slug": lesson.slug, "number": lesson.number},
                "progress": number,
            },
        )

    def _system_draft(self, name: str) -> _Draft:
        table = self.texts.get("mail", {}).get(name)
        if name not in SYSTEM_LAYOUTS or table is None:
            raise NotFoundError(f"{self.texts_file}: there is no table [mail.{name}]")

        def text(key: str) -> _Text:
            line = front_matter.line_of(self.texts_source, [str(name), key]) + 1
            return _Text(self.texts_file, line, str(table.get(key, "")))

        layout = SYSTEM_LAYOUTS[name]
        return _Draft(
            key=str(name),
            layout=layout,
            fields=_SYSTEM_FIELDS.get(layout, PERSON_FIELDS | LINK_FIELDS),
            subject=text("subject"),
            preheader=text("preheader"),
            body=text("body"),
            context={**self._shared, "mail": table},
        )

    @cached_property
    def _shared(self) -> dict[str, Any]:
        course = self.course
        return {
            "course": {
                "slug": course.slug,
                "title": course.title,
                "description": course.description,
                "language": course.language,
                "sender_name": course.sender.name,
                "total": len(course.lessons),
                "brand": course.brand.model_dump(),
                "url": f"{self.site.public_url}/c/{course.slug}",
            },
            "texts": self.texts,
            "postal_address": self.site.postal_address,
            "reply_to": self.site.reply_to,
        }


def load_course(
    slug: str, files: Mapping[str, str], site: Site, *, secret: str | None = None, where: str = ""
) -> CompiledCourse:
    """A revision's files as mails. `secret` makes its tags; random where none is given."""
    course = curriculum.parse(slug, files, where=where)
    texts_file = f"templates/texts/{course.language}.toml"
    if texts_file not in files:
        raise CourseError(
            f"{where}course.toml:1: language {course.language!r} has no words: "
            f"{texts_file} is missing"
        )
    try:
        texts = tomllib.loads(files[texts_file])
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{texts_file}:1: {error}") from None
    layouts = {
        name.removeprefix("templates/"): text
        for name, text in files.items()
        if name.startswith("templates/email/")
    }
    return CompiledCourse(
        course, texts, texts_file, files[texts_file], layouts, where, site, secret or token_hex(8)
    )


def compile_course(
    slug: str, files: Mapping[str, str], site: Site | None = None, *, where: str = ""
) -> CompiledCourse:
    """The same with every mail compiled and rendered once; raises the first TemplateError."""
    compiled = load_course(slug, files, site or Site(), where=where)
    fields.Conditions(compiled.course, where).try_out()
    somebody = Recipient("somebody@example.com", "Kim Sample", "Europe/Berlin", awaited=True)
    nobody = Recipient("somebody@example.com")
    for message in compiled.every():
        for person in (somebody, nobody):
            message.mail(compiled.values(person))
    return compiled


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _check_places(page: str, tags: list[Tag]) -> None:
    """Refuse a recipient's value inside an attribute that could make it act."""
    finder = _Places({tag.text: tag for tag in tags})
    finder.feed(page)
    finder.close()


class _Places(HTMLParser):
    def __init__(self, tags: Mapping[str, Tag]) -> None:
        super().__init__()
        self.tags = tags
        self.raw = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.raw = tag if tag in ("style", "script") else ""
        for name, value in attrs:
            inside = [known for text, known in self.tags.items() if text in (value or "")]
            if inside and name not in _READ_ATTRIBUTES:
                self._check(name, value or "", inside)

    def handle_endtag(self, tag: str) -> None:
        if tag == self.raw:
            self.raw = ""

    def handle_data(self, data: str) -> None:
        if self.raw:
            self._refuse(data, f"a recipient's field cannot stand in <{self.raw}>")

    def handle_comment(self, data: str) -> None:
        self._refuse(data, "a recipient's field cannot stand in a comment")

    def _refuse(self, data: str, why: str) -> None:
        for text, tag in self.tags.items():
            if text in data:
                raise refused(tag.file, tag.line, why)

    def _check(self, attribute: str, value: str, inside: list[Tag]) -> None:
        if attribute == "href":
            own_link = len(inside) == 1 and value == inside[0].text and _is_own(inside[0])
            literal = _LITERAL_HOST.match(value)
            if own_link or (literal and all(map(_is_encoded, inside))):
                return
            advice = "use one of our own links, or https://host/…{{ field|urlencode }}"
        else:
            advice = "only href, alt and title may hold one"
        names = ", ".join(name for tag in inside for name in tag.names)
        raise refused(
            inside[0].file,
            inside[0].line,
            f"{names} cannot stand in the attribute {attribute}: {advice}",
        )


def _is_own(tag: Tag) -> bool:
    name = tag.expression
    return isinstance(name, nodes.Name) and name.name in LINK_FIELDS | {CONFIRM_FIELD, LINK_FIELD}


def _is_encoded(tag: Tag) -> bool:
    return isinstance(tag.expression, nodes.Filter) and tag.expression.name == "urlencode"
