"""Claimed rows become parcels: who shares a skeleton shares a request. Nothing is sent here, and
what cannot be packed is said, not done."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from course import courses, db, holds, ics, invitations, places, tokens
from course.errors import MinicourseError
from course.ledger import Claimed
from course.mailer import Attachment, Outgoing, Personalization
from course.merging import Key, Skeleton, merge
from course.models import Cohort, Enrollment, Subscriber
from course.rendering import CompiledCourse, Recipient, Site, Start
from course.rowsets import gathered
from course.settings import Settings
from course.states import HoldScope, Latecomers, LinkPurpose, MessageKind

# SendGrid's limits, each with a margin: 1,000 people, 10,000 bytes of substitutions a person,
# 30 MB a request.
REQUEST_PEOPLE = 1000
SUBSTITUTION_BYTES = 9_000
REQUEST_BYTES = 25_000_000
_CHARACTER_BYTES = 4  # at most, in UTF-8
_PERSON_BYTES = 600  # address, headers and arguments around the substitutions

CONFIRM = "confirm"  # what a confirmation link is signed for
LINK = "link"  # and a short-lived one
DELIVERY_ARGUMENT = "minicourse_delivery"


class Letter(NamedTuple):
    """One claimed row, ready to leave."""

    row: Claimed
    person: Personalization


@dataclass(frozen=True, slots=True)
class Parcel:
    """Letters that share a skeleton, and so a request."""

    outgoing: Outgoing  # without its people
    revision_id: int
    letters: tuple[Letter, ...]
    scope: holds.Scope  # what is held when the message itself is at fault

    @property
    def ids(self) -> list[int]:
        return [letter.row.id for letter in self.letters]

    @property
    def addressed(self) -> Outgoing:
        people = tuple(letter.person for letter in self.letters)
        return replace(self.outgoing, personalizations=people)

    def only(self, ids: frozenset[int]) -> "Parcel":
        return replace(self, letters=tuple(x for x in self.letters if x.row.id in ids))

    def halves(self) -> tuple["Parcel", "Parcel"]:
        middle = len(self.letters) // 2
        return (
            replace(self, letters=self.letters[:middle]),
            replace(self, letters=self.letters[middle:]),
        )


@dataclass(frozen=True, slots=True)
class Misfit:
    """Rows that cannot be packed: one person's values are at fault, or (`scope`) the message."""

    ids: tuple[int, ...]
    why: str
    scope: holds.Scope | None = None


@dataclass(frozen=True)
class Packer:
    """What packing needs to know about the installation."""

    settings: Settings
    site: Site
    installation: str  # stands before each delivery id that travels to the provider
    course_of: Callable[[int, str | None], CompiledCourse]  # by revision, with that note

    def pack(
        self, rows: Sequence[Claimed], people: Mapping[int, Recipient]
    ) -> tuple[list[Parcel], list[Misfit]]:
        """Parcels in the order of the rows, and what could not be packed."""
        groups: dict[tuple[int, str], list[Claimed]] = defaultdict(list)
        for row in rows:
            groups[row.revision_id, row.message_name].append(row)
        packing = _Packing(self, people)
        for group in groups.values():
            packing.group(group)
        return packing.parcels, packing.misfits


@dataclass
class _Packing:
    packer: Packer
    people: Mapping[int, Recipient]
    parcels: list[Parcel] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)

    def group(self, rows: Sequence[Claimed]) -> None:
        """Rows of one message; each grouping key has a skeleton of its own."""
        try:
            course = self.packer.course_of(rows[0].revision_id, rows[0].note)
            message = course.message(rows[0].kind, rows[0].message_key)
        except MinicourseError as error:
            self._blame_message(rows, error)
            return
        by_key: dict[tuple[Key, datetime | None], list[Claimed]] = defaultdict(list)
        values = {row.id: course.values(self.people[row.id]) for row in rows}
        for row in rows:
            by_key[message.key(values[row.id]), _wall(row, self.people[row.id])].append(row)
        for (key, _), members in by_key.items():
            try:
                skeleton = message.skeleton(key)
            except MinicourseError as error:
                if any(isinstance(truth, str) for truth in key):
                    self._blame_row([row.id for row in members], str(error))
                else:
                    self._blame_message(members, error)
                continue
            self._members(course, skeleton, members, values)

    def _members(
        self,
        course: CompiledCourse,
        skeleton: Skeleton,
        rows: Sequence[Claimed],
        values: Mapping[int, Mapping[str, str]],
    ) -> None:
        parcel = self._empty(course, skeleton, rows[0])
        list_id = _list_id(course.course.slug, self.packer.site)
        letters: list[tuple[Letter, int]] = []
        for row in rows:
            try:
                substitutions = skeleton.substitutions(values[row.id])
            except Exception as error:  # whatever a person's values make of an expression
                self._blame_row([row.id], f"cannot be rendered: {error}")
                continue
            if row.kind is MessageKind.LINK and not self.people[row.id].email:
                self._blame_row([row.id], "the new address was taken back")
                continue
            letter = Letter(row, self._person(row, substitutions, list_id))
            weight = _weight(substitutions)
            if weight > SUBSTITUTION_BYTES:
                self.parcels.append(_alone(parcel, letter, skeleton))
            else:
                letters.append((letter, weight))
        size = len(skeleton.html.encode()) + len(skeleton.text.encode())
        for chunk in _chunks(letters, size):
            self.parcels.append(replace(parcel, letters=tuple(chunk)))

    def _empty(self, course: CompiledCourse, skeleton: Skeleton, row: Claimed) -> Parcel:
        curriculum, settings = course.course, self.packer.settings
        tracked = row.kind in (MessageKind.LESSON, MessageKind.NOTE)
        outgoing = Outgoing(
            from_email=curriculum.sender.email or settings.mail_from,
            from_name=curriculum.sender.name,
            reply_to=curriculum.sender.reply_to or settings.mail_reply_to,
            subject=skeleton.subject,
            text=skeleton.text,
            html=skeleton.html,
            categories=(curriculum.slug, f"{curriculum.slug}/{row.message_name}"),
            click_tracking=curriculum.tracking.clicks and tracked,
            open_tracking=curriculum.tracking.opens and tracked,
            personalizations=(),
            attachments=_calendar(course, row, self.people[row.id]),
            despite_leaving=row.kind is MessageKind.CONFIRMATION,
        )
        return Parcel(outgoing, row.revision_id, (), _scope(row))

    def _person(
        self, row: Claimed, substitutions: Mapping[str, str], list_id: str
    ) -> Personalization:
        person = self.people[row.id]
        return Personalization(
            to=person.email,
            # Nothing that a visitor typed may stand in the mail to an unconfirmed address.
            name="" if row.kind is MessageKind.CONFIRMATION else person.name,
            headers=_headers(row.kind, person, self.packer.site, list_id),
            custom_args={DELIVERY_ARGUMENT: f"{self.packer.installation}-{row.id}"},
            substitutions=substitutions,
        )

    def _blame_row(self, ids: Sequence[int], why: str) -> None:
        self.misfits.append(Misfit(tuple(ids), why))

    def _blame_message(self, rows: Sequence[Claimed], error: MinicourseError) -> None:
        self.misfits.append(Misfit(tuple(row.id for row in rows), str(error), _scope(rows[0])))


def _wall(row: Claimed, person: Recipient) -> datetime | None:
    """What a file in the mail says of its reader. It is the whole request's, so only those share
    one who would find the same in it."""
    if row.kind is not MessageKind.JOINED or person.start is None:
        return None
    return person.start.at.replace(tzinfo=None)


def _calendar(course: CompiledCourse, row: Claimed, person: Recipient) -> tuple[Attachment, ...]:
    """The first lesson for the reader's calendar, at that hour wherever they are."""
    wall = _wall(row, person)
    if wall is None or person.start is None:
        return ()
    slug, url = course.course.slug, f"{course.site.public_url}/c/{course.course.slug}"
    words = course.texts["mail"][row.kind].get("calendar", "")
    event = ics.Event(f"{url}/start", wall, course.course.title, f"{words}\n{url}".strip())
    text = ics.calendar([event], person.start.told_at)
    return (Attachment(f"{slug}.ics", "text/calendar", text),)


def _scope(row: Claimed) -> holds.Scope:
    """What a fault of the message itself holds: that lesson; for a system mail the course."""
    if row.kind in (MessageKind.LESSON, MessageKind.NOTE):
        return holds.Scope(HoldScope.LESSON, course_id=row.course_id, lesson=row.message_key)
    return holds.Scope(HoldScope.COURSE, course_id=row.course_id)


def _list_id(slug: str, site: Site) -> str:
    host = site.public_url.partition("://")[2].partition("/")[0].partition(":")[0]
    return f"<{slug}.{host}>"


def _headers(kind: MessageKind, person: Recipient, site: Site, list_id: str) -> dict[str, str]:
    """The complete set for one person (RFC 8058, RFC 2919, RFC 3834). Leaving works before the
    confirmation too: who was signed up by a stranger says no with it. A new address has nothing to
    leave yet, and whoever has it may not have what opens somebody's page."""
    headers = {"List-Id": list_id}
    if person.token:
        headers["List-Unsubscribe"] = f"<{site.public_url}/unsubscribe/{person.token}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    if kind in (MessageKind.CONFIRMATION, MessageKind.LINK):
        headers["Auto-Submitted"] = "auto-generated"
    return headers


def _alone(parcel: Parcel, letter: Letter, skeleton: Skeleton) -> Parcel:
    """Values too long for the provider's merging travel merged in, in a request of their own."""
    mail = merge(skeleton, letter.person.substitutions or {})
    outgoing = replace(parcel.outgoing, subject=mail.subject, text=mail.text, html=mail.html)
    person = letter.person._replace(substitutions=None)
    return replace(parcel, outgoing=outgoing, letters=(letter._replace(person=person),))


def _chunks(letters: Sequence[tuple[Letter, int]], base_bytes: int) -> Iterator[list[Letter]]:
    """As many people a request as the limits allow, and no address twice in one."""
    chunk: list[Letter] = []
    seen: set[str] = set()
    size = base_bytes
    for letter, weight in letters:
        full = len(chunk) == REQUEST_PEOPLE or size + weight + _PERSON_BYTES > REQUEST_BYTES
        if chunk and (full or letter.person.to in seen):
            yield chunk
            chunk, seen, size = [], set(), base_bytes
        chunk.append(letter)
        seen.add(letter.person.to)
        size += weight + _PERSON_BYTES
    if chunk:
        yield chunk


def _weight(substitutions: Mapping[str, str]) -> int:
    """Their bytes; more than they are, where that is far from the limit."""
    text = "".join((*substitutions, *substitutions.values()))
    most = _CHARACTER_BYTES * len(text)
    return most if most <= SUBSTITUTION_BYTES else len(text.encode())


def recipients(
    session: Session, rows: Sequence[Claimed], secret_keys: Sequence[str], now: datetime
) -> dict[int, Recipient]:
    """Who the claimed rows go to, by delivery id."""
    ids = db.packed(session, {row.enrollment_id for row in rows})
    found = gathered(session, _people, ids=ids)
    people = {
        enrollment_id: Recipient(email or "", name, zone or "", token, fields=fields)
        for enrollment_id, token, fields, email, name, zone in found
    }
    new, starts = _new_addresses(session, rows), _starts(session, rows, now)
    awaiting = _awaiting(session, rows, now)
    addressed = {row.id: people[row.enrollment_id] for row in rows}
    for row in rows:
        if row.kind in _WITH_A_LINK:
            person = new.get(row.id) or addressed[row.id]
            addressed[row.id] = _with_link(row, person, secret_keys, now)
    for number, start in starts.items():
        addressed[number] = addressed[number]._replace(start=start)
    for row in rows if awaiting else ():
        if row.enrollment_id in awaiting:
            addressed[row.id] = addressed[row.id]._replace(awaited=True)
    return addressed


@cache
def _people(postgresql: bool) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Enrollment.id,
            Enrollment.token,
            Enrollment.fields,
            Subscriber.email,
            Subscriber.name,
            Subscriber.zone,
        )
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(db.among_given(postgresql, Enrollment.id))
    )


def _starts(session: Session, rows: Sequence[Claimed], now: datetime) -> dict[int, Start]:
    """Their first lesson, for those whom a mail tells of it."""
    told = [row for row in rows if row.kind in (MessageKind.JOINED, MessageKind.REMINDER)]
    if not told:
        return {}
    begins = invitations.begins(session, [row.enrollment_id for row in told])
    return {
        row.id: Start(begins[row.enrollment_id], now) for row in told if row.enrollment_id in begins
    }


def _awaiting(session: Session, rows: Sequence[Claimed], now: datetime) -> frozenset[int]:
    """Who of those that are asked to confirm will wait for a first day. Which one it is says the
    page behind the link: by then their group may be full."""
    asked = {row.enrollment_id for row in rows if row.kind is MessageKind.CONFIRMATION}
    if not asked:
        return frozenset()
    mine = db.among(session, Enrollment.id, asked)
    found = session.execute(
        select(Cohort, Enrollment.id)
        .join(Enrollment, Enrollment.cohort_id == Cohort.id)
        .where(mine, Cohort.starts_on.is_not(None))
    ).all()
    awaited = {cohort for cohort in {row.Cohort for row in found} if _awaits(session, cohort, now)}
    return frozenset(row.id for row in found if row.Cohort in awaited)


def _awaits(session: Session, cohort: Cohort, now: datetime) -> bool:
    curriculum = courses.by_id(session, cohort.course_id).curriculum
    has_begun = places.has_begun(cohort, curriculum, now)
    return not has_begun or cohort.latecomers == Latecomers.NEXT


def _new_addresses(session: Session, rows: Sequence[Claimed]) -> dict[int, Recipient]:
    """Those that people want their mails at from now on, by delivery id. Whose they are is not
    known before they have answered, so nothing of the person goes there."""
    asked = [
        row
        for row in rows
        if row.kind is MessageKind.LINK
        and LinkPurpose.of(row.message_key) is LinkPurpose.NEW_ADDRESS
    ]
    if not asked:
        return {}
    found = session.execute(
        select(Enrollment.id, Subscriber.new_email)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(db.among(session, Enrollment.id, {row.enrollment_id for row in asked}))
    )
    email_of = {number: email or "" for number, email in found}
    return {row.id: Recipient(email_of[row.enrollment_id]) for row in asked}


# These are signed when their mail leaves.
_WITH_A_LINK = (MessageKind.CONFIRMATION, MessageKind.LINK)


def _with_link(
    row: Claimed, person: Recipient, secret_keys: Sequence[str], now: datetime
) -> Recipient:
    if row.kind is MessageKind.CONFIRMATION:
        link = tokens.sign(CONFIRM, row.enrollment_id, now, secret_keys)
        return person._replace(confirm_token=link)
    return person._replace(link_token=tokens.sign(LINK, row.id, now, secret_keys))
