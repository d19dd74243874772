"""The tables. Rows are plain: what happens to them stands in the services, time in `timing`."""

from datetime import date, datetime, time
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from course.db import UTCDateTime

# SQLite gives out row numbers only to a column of exactly this type.
BigId = BigInteger().with_variant(Integer, "sqlite")
# SQLite would give the number of the newest row, once removed, to another; links and events that
# are on their way hold such numbers.
_NUMBERED_ONCE = {"sqlite_autoincrement": True}


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy's own way)
        datetime: UTCDateTime,
        str: Text,
        dict[str, Any]: JSON,
    }


class Installation(Base):
    """One row: what this database is (sandbox or live) and what its processes last did."""

    __tablename__ = "installation"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]  # random; stands before each delivery id that travels to the provider
    # Names from before this database was restored or copied, each with the highest delivery id
    # that it stands for: numbers beyond were the lost database's, and are given out anew here.
    former_names: Mapped[dict[str, Any]] = mapped_column(default=dict)
    mode: Mapped[str]
    created_at: Mapped[datetime]
    live_since: Mapped[datetime | None]
    hash_key_fingerprint: Mapped[str]
    sandbox_private_key: Mapped[str]
    sandbox_public_key: Mapped[str]
    last_tick_at: Mapped[datetime | None]
    last_tick_seconds: Mapped[float | None]  # how long it took
    last_accepted_at: Mapped[datetime | None]
    last_event_at: Mapped[datetime | None]
    # Real time: the provider's own posts, signed with its key; a test mail's way there and back.
    webhook_heard_at: Mapped[datetime | None]
    test_sent_at: Mapped[datetime | None]
    test_heard_at: Mapped[datetime | None]
    # The ambiguity breaker, one for all processes: how many answers in a row were lost, and
    # until when only a probe of one row may go.
    ambiguous_in_a_row: Mapped[int] = mapped_column(default=0)
    breaker_until: Mapped[datetime | None]
    # Real time: until then the provider wants to hear nothing from us.
    quiet_until: Mapped[datetime | None]
    batch_limit: Mapped[int] = mapped_column(default=1000)
    digest_at: Mapped[datetime | None]  # real time: the last digest to the operator
    # Up to when each of the provider's own lists has been read; see `syncing`.
    lists_read: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Course(Base):
    __tablename__ = "course"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    live_revision_id: Mapped[int | None] = mapped_column(
        ForeignKey("revision.id", use_alter=True, name="fk_course_live_revision_id")
    )
    published_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Revision(Base):
    """An applied state of a course, closed in itself: its files and every template they reach."""

    __tablename__ = "revision"
    __table_args__ = (UniqueConstraint("course_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    number: Mapped[int]
    content_hash: Mapped[str]
    git_commit: Mapped[str | None]
    files: Mapped[dict[str, Any]]  # path → text
    created_at: Mapped[datetime]
    created_by: Mapped[str]


class Cohort(Base):
    """A group of learners: rolling (each starts when confirmed) or with a fixed start date."""

    __tablename__ = "cohort"
    __table_args__ = (UniqueConstraint("course_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    name: Mapped[str]
    state: Mapped[str]
    starts_on: Mapped[date | None]  # None: rolling
    zone: Mapped[str | None]
    # Where it differs from the course: its hour, and its weekdays as `mon,wed`.
    hour: Mapped[time | None]
    weekdays: Mapped[str | None]
    capacity: Mapped[int | None]  # how many may have a place in it; None: as many as like
    closes_on: Mapped[date | None]  # the last day on which people may sign up
    latecomers: Mapped[str] = mapped_column(default="join")  # who comes after its start
    is_front: Mapped[bool] = mapped_column(default=False)
    resumes_as: Mapped[str | None]  # the state before it was paused
    # A rehearsal: its lessons come so many seconds apart, whatever the course says.
    rehearsal_every: Mapped[int | None]
    # The planner looks at everyone again, and has come as far as this enrollment; None: it is done.
    look_again_from: Mapped[int | None] = mapped_column(BigId)
    created_at: Mapped[datetime]
    course: Mapped[Course] = relationship()


class Subscriber(Base):
    __tablename__ = "subscriber"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    email: Mapped[str | None] = mapped_column(String(320), unique=True)  # None: erased
    email_hash: Mapped[str] = mapped_column(String(64), index=True)
    # Of the inbox, which all its plus-addresses share; stays as well (see `asking`).
    mailbox_hash: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(default="")
    zone: Mapped[str | None]
    hour: Mapped[time | None]  # at which they want their lessons; None: as the course says
    # Where they want their mails from now on; it becomes theirs when it has answered.
    new_email: Mapped[str | None] = mapped_column(String(320))
    # Made while the database was in sandbox mode: such a person is never mailed for real unless
    # `minicourse live --keep` names them.
    is_sandbox: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


_OPEN = "state IN ('pending', 'active', 'paused')"


class Enrollment(Base):
    __tablename__ = "enrollment"
    __table_args__ = (
        # One open enrollment for each person and course.
        Index(
            "uq_enrollment_open",
            "subscriber_id",
            "course_id",
            unique=True,
            sqlite_where=text(_OPEN),
            postgresql_where=text(_OPEN),
        ),
        # A tick costs what is due: only rows that wait to be looked at are in this index.
        Index(
            "ix_enrollment_due",
            "next_due_at",
            "id",
            sqlite_where=text("state = 'active' AND next_due_at IS NOT NULL"),
            postgresql_where=text("state = 'active' AND next_due_at IS NOT NULL"),
        ),
        # Those who paused until a day.
        Index(
            "ix_enrollment_paused_until",
            "paused_until",
            sqlite_where=text("paused_until IS NOT NULL"),
            postgresql_where=text("paused_until IS NOT NULL"),
        ),
        # A person's links and an import look for whatever they had before, too.
        Index("ix_enrollment_subscriber_id_course_id", "subscriber_id", "course_id"),
        Index("ix_enrollment_cohort_id_state_id", "cohort_id", "state", "id"),
        # What happened on a day.
        Index("ix_enrollment_created_at", "created_at"),
        Index(
            "ix_enrollment_ended_at",
            "ended_at",
            sqlite_where=text("ended_at IS NOT NULL"),
            postgresql_where=text("ended_at IS NOT NULL"),
        ),
        _NUMBERED_ONCE,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscriber.id"))
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    cohort_id: Mapped[int] = mapped_column(ForeignKey("cohort.id"))
    state: Mapped[str]
    reason: Mapped[str | None]  # why it was cancelled
    # The manage and unsubscribe links; random, kept, so they work for years.
    token: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    # What the form said; it becomes the person's own only when they confirm.
    form_name: Mapped[str] = mapped_column(default="")
    form_zone: Mapped[str | None]
    form_hour: Mapped[time | None]
    # The course's own fields, as `fields` writes and reads them; what is not in it has its default.
    fields: Mapped[str] = mapped_column(default="")
    # The instant from whose local date the first lesson counts.
    starts_at: Mapped[datetime | None]
    next_due_at: Mapped[datetime | None]  # look again at
    paused_until: Mapped[datetime | None]  # course time; None: until somebody resumes it
    lesson_set_id: Mapped[int | None]  # which lessons they were sent, as far as summed by `reach`
    subscriber: Mapped[Subscriber] = relationship()
    cohort: Mapped[Cohort] = relationship()
    course: Mapped[Course] = relationship()


class Consent(Base):
    """Append-only: who agreed to or withdrew what, when, in which words, how."""

    __tablename__ = "consent"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    enrollment_id: Mapped[int] = mapped_column(ForeignKey("enrollment.id"), index=True)
    act: Mapped[str]  # asked, confirmed, imported, withdrawn, restored, readdressed
    at: Mapped[datetime]
    source: Mapped[str]  # the page, the file, the link
    wording_version: Mapped[str | None]
    wording_hash: Mapped[str | None]
    file_hash: Mapped[str | None]  # of the list that an import took them from (SHA-256, hex)


class Tag(Base):
    """A word that an author keeps with a person."""

    __tablename__ = "tag"
    __table_args__ = (Index("ix_tag_name_subscriber_id", "name", "subscriber_id"),)

    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscriber.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)


class Note(Base):
    """One Markdown file for chosen people of a course, as it was when it was ordered; their ledger
    rows are named `note:<slug>`."""

    __tablename__ = "note"
    __table_args__ = (UniqueConstraint("course_id", "slug"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    slug: Mapped[str]
    text: Mapped[str]
    content_hash: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[str]


class PersonalDetail(Base):
    """The erasable side table: personal values that belong to a consent or an audit line."""

    __tablename__ = "personal_detail"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscriber.id"), index=True)
    consent_id: Mapped[int | None] = mapped_column(ForeignKey("consent.id"))
    audit_id: Mapped[int | None] = mapped_column(ForeignKey("audit.id"))
    name: Mapped[str]
    value: Mapped[str]


class Request(Base):
    """One call to the provider, written before its bytes leave."""

    __tablename__ = "request"
    __table_args__ = (
        # Those whose mails the sums of `reach` do not hold yet.
        Index(
            "ix_request_unsummed",
            "id",
            sqlite_where=text("is_summed = 0"),
            postgresql_where=text("NOT is_summed"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("revision.id"))
    size: Mapped[int]
    sent_at: Mapped[datetime] = mapped_column(index=True)
    answered_at: Mapped[datetime | None]
    status: Mapped[int | None]  # HTTP; None while unanswered or lost
    verdict: Mapped[str | None]
    detail: Mapped[str | None]
    x_message_id: Mapped[str | None] = mapped_column(index=True)
    counts_to_limit: Mapped[bool] = mapped_column(default=True)
    is_summed: Mapped[bool] = mapped_column(default=False, server_default=false())  # see `reach`


class Delivery(Base):
    """One row a mail: the ledger. Changed only by `ledger`, and by a person's orders
    in `resolving` and `retries`."""

    __tablename__ = "delivery"
    __table_args__ = (
        # One row that stands for each mail; and whatever asks for a learner's rows finds them here.
        Index("uq_delivery_message", "enrollment_id", "message_key", "edition", unique=True),
        Index(
            "ix_delivery_pending",
            "rank",
            "send_at",
            "id",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        # Claimed and sending rows have a lease, and no others.
        Index(
            "ix_delivery_lease_until",
            "lease_until",
            sqlite_where=text("lease_until IS NOT NULL"),
            postgresql_where=text("lease_until IS NOT NULL"),
        ),
        # What a person may have to look at is little. (SQLite does not see that one of these two
        # states is in a list of both, but that it is one or the other.)
        Index(
            "ix_delivery_trouble",
            "state",
            sqlite_where=text("state = 'unknown' OR state = 'failed'"),
            postgresql_where=text("state = 'unknown' OR state = 'failed'"),
        ),
        # What was sent, and a person's order put another mail in its place.
        Index(
            "ix_delivery_repeated",
            "course_id",
            sqlite_where=text("edition <> 0 AND state = 'accepted'"),
            postgresql_where=text("edition <> 0 AND state = 'accepted'"),
        ),
        # Notes are few beside lessons.
        Index(
            "ix_delivery_note",
            "course_id",
            "message_key",
            "id",
            sqlite_where=text("kind = 'note'"),
            postgresql_where=text("kind = 'note'"),
        ),
        Index(
            "ix_delivery_request_id",
            "request_id",
            sqlite_where=text("request_id IS NOT NULL"),
            postgresql_where=text("request_id IS NOT NULL"),
        ),
        _NUMBERED_ONCE,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    enrollment_id: Mapped[int] = mapped_column(ForeignKey("enrollment.id"))
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    kind: Mapped[str]
    message_key: Mapped[str]
    rank: Mapped[int]  # confirmations 0, welcome mails 1, lessons 2
    state: Mapped[str]
    reason: Mapped[str | None]
    # 0 while the row stands; its own id once a person's order put another in its place.
    edition: Mapped[int] = mapped_column(BigId, default=0, server_default="0")
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]  # course time: the plan, from which the next lesson counts
    send_at: Mapped[datetime]  # course time: not before; later than due_at only for a late one
    is_shifted: Mapped[bool] = mapped_column(default=False)  # it was late, and was planned anew
    retry_at: Mapped[datetime | None]  # real time; not before
    revision_id: Mapped[int | None] = mapped_column(ForeignKey("revision.id"))
    claim_token: Mapped[str | None]
    lease_until: Mapped[datetime | None]  # real time
    lost_claims: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)  # for back-off alone; an outage fails nobody
    request_id: Mapped[int | None] = mapped_column(ForeignKey("request.id"))
    settled_at: Mapped[datetime | None]  # course time
    unknown_since: Mapped[datetime | None]  # course time
    outcome: Mapped[str | None]
    outcome_rank: Mapped[int] = mapped_column(default=0)
    outcome_reason: Mapped[str | None]
    # The first time; by a person, and by a machine that looks at mail for them (see `machines`).
    opened_at: Mapped[datetime | None]
    clicked_at: Mapped[datetime | None]
    machine_opened_at: Mapped[datetime | None]
    machine_clicked_at: Mapped[datetime | None]
    complained_at: Mapped[datetime | None]
    enrollment: Mapped[Enrollment] = relationship()

    @hybrid_property
    def superseded(self) -> bool:
        return self.edition != 0


class Event(Base):
    """What the provider told us; never an address, an IP or a user agent."""

    __tablename__ = "event"
    __table_args__ = (
        # By mail first, so that what is told of mails that left together lies together.
        Index("uq_event_of_delivery", "delivery_id", "dedupe_key", unique=True),
        Index(
            "uq_event_of_address",
            "dedupe_key",
            unique=True,
            sqlite_where=text("delivery_id IS NULL"),
            postgresql_where=text("delivery_id IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    dedupe_key: Mapped[str] = mapped_column(String(32))
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("delivery.id"))
    kind: Mapped[str]
    at: Mapped[datetime]
    received_at: Mapped[datetime]
    is_machine: Mapped[bool] = mapped_column(default=False)
    url: Mapped[str | None]
    reason: Mapped[str | None]


class _Counts:
    """Of a lesson's mails; see `rollups.facts`."""

    entered: Mapped[int] = mapped_column(default=0)
    sent: Mapped[int] = mapped_column(default=0)
    delivered: Mapped[int] = mapped_column(default=0)
    bounced: Mapped[int] = mapped_column(default=0)
    dropped: Mapped[int] = mapped_column(default=0)
    opened: Mapped[int] = mapped_column(default=0)
    clicked: Mapped[int] = mapped_column(default=0)
    machine_opened: Mapped[int] = mapped_column(default=0)
    machine_clicked: Mapped[int] = mapped_column(default=0)
    unread: Mapped[int] = mapped_column(default=0)
    complained: Mapped[int] = mapped_column(default=0)


# These three refer to others without a foreign key: it would lock the course's and the cohort's
# row for each batch of mails.


class Delta(_Counts, Base):
    """Append-only: by how much the sums change; see `rollups`. Folding takes them away again."""

    __tablename__ = "delta"
    __table_args__ = (
        Index(
            "ix_delta_sent_at",
            "sent_at",
            sqlite_where=text("sent_at IS NOT NULL"),
            postgresql_where=text("sent_at IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    course_id: Mapped[int]
    cohort_id: Mapped[int]
    message_key: Mapped[str]
    revision_id: Mapped[int | None]
    sent_at: Mapped[datetime | None]  # real time; where it says how many were sent, and when


class MailSum(_Counts, Base):
    """What became of a lesson's mails, by cohort and by the revision that they were sent from."""

    __tablename__ = "mail_sum"

    course_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    cohort_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    message_key: Mapped[str] = mapped_column(primary_key=True)
    revision_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # 0: none


class QuarterSum(Base):
    """How many lessons of a course left in a quarter of an hour."""

    __tablename__ = "quarter_sum"

    course_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    quarter: Mapped[datetime] = mapped_column(primary_key=True)  # real time: when it began
    sent: Mapped[int]


# So do these five; see `reach`.


class _ByDomain:
    """Mails of all kinds that left within an hour, to the addresses at a domain."""

    sent: Mapped[int]
    delivered: Mapped[int]
    bounced: Mapped[int]
    complained: Mapped[int]


class DomainDelta(_ByDomain, Base):
    """Append-only."""

    __tablename__ = "domain_delta"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    course_id: Mapped[int]
    hour: Mapped[datetime]  # real time: when it began
    domain: Mapped[str]


class DomainSum(_ByDomain, Base):
    __tablename__ = "domain_sum"

    course_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    domain: Mapped[str] = mapped_column(primary_key=True)


class LearnerDelta(Base):
    """Append-only."""

    __tablename__ = "learner_delta"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    course_id: Mapped[int]
    lesson_set_id: Mapped[int]
    left_after: Mapped[str]
    is_out: Mapped[bool]
    learners: Mapped[int]


class LearnerSum(Base):
    """How many learners were sent these lessons."""

    __tablename__ = "learner_sum"

    course_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    lesson_set_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    left_after: Mapped[str] = mapped_column(primary_key=True)  # empty: see `reach.Learners`
    is_out: Mapped[bool] = mapped_column(primary_key=True)
    learners: Mapped[int]


class LessonSet(Base):
    """Lessons that somebody was sent, and no others: a JSON list in order of their names."""

    __tablename__ = "lesson_set"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # a list may be longer than a key
    lessons: Mapped[str]


class Suppression(Base):
    """An address, as a keyed hash, that may not be mailed: for one course, or for all."""

    __tablename__ = "suppression"
    __table_args__ = (
        Index(
            "uq_suppression_course",
            "email_hash",
            "course_id",
            "reason",
            unique=True,
            sqlite_where=text("course_id IS NOT NULL"),
            postgresql_where=text("course_id IS NOT NULL"),
        ),
        Index(
            "uq_suppression_all",
            "email_hash",
            "reason",
            unique=True,
            sqlite_where=text("course_id IS NULL"),
            postgresql_where=text("course_id IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    email_hash: Mapped[str] = mapped_column(String(64))
    course_id: Mapped[int | None] = mapped_column(ForeignKey("course.id"))
    reason: Mapped[str]
    source: Mapped[str]
    created_at: Mapped[datetime]


class Lift(Base):
    """A person confirmed anew: an unsubscribe of theirs in the provider's own list no longer
    stands, and is deleted there by and by; see `syncing`."""

    __tablename__ = "lift"

    subscriber_id: Mapped[int] = mapped_column(
        ForeignKey("subscriber.id", ondelete="CASCADE"), primary_key=True
    )


class Hold(Base):
    """Nothing in its scope crosses the line until it is released."""

    __tablename__ = "hold"

    id: Mapped[int] = mapped_column(primary_key=True)
    scope: Mapped[str]
    course_id: Mapped[int | None] = mapped_column(ForeignKey("course.id"))
    cohort_id: Mapped[int | None] = mapped_column(ForeignKey("cohort.id"))
    lesson: Mapped[str | None]
    kind: Mapped[str]
    why: Mapped[str]
    who: Mapped[str]
    since: Mapped[datetime]
    probe_at: Mapped[datetime | None]  # real time: one mail may try then
    probes: Mapped[int] = mapped_column(default=0)
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]


class Bucket(Base):
    """How much of a budget is spent; see `budgets`. Whose it is, only a keyed hash says."""

    __tablename__ = "bucket"

    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    full_at: Mapped[datetime] = mapped_column(index=True)  # real time


class UsedToken(Base):
    """A form's token that was used: the form may be sent once."""

    __tablename__ = "used_token"

    token_hash: Mapped[str] = mapped_column(String(32), primary_key=True)
    used_at: Mapped[datetime] = mapped_column(index=True)  # real time


class Tally(Base):
    """How often something happened within an hour of real time; see `tallies`."""

    __tablename__ = "tally"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    count: Mapped[int]


class Alert(Base):
    """Something that the operator is told of: when it begins, and when it is over (real time)."""

    __tablename__ = "alert"
    __table_args__ = (
        Index(
            "uq_alert_standing",
            "cause",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    cause: Mapped[str]
    what: Mapped[str]
    command: Mapped[str]
    since: Mapped[datetime]
    told_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    end_told_at: Mapped[datetime | None]


class Forecast(Base):
    """How many lessons were known, at that moment, to leave during the day after it; see `brake`.
    A person's order is noted beside what a look at the ledger found."""

    __tablename__ = "forecast"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    made_at: Mapped[datetime] = mapped_column(index=True)  # course time
    lessons: Mapped[int]
    is_order: Mapped[bool] = mapped_column(default=False)


class Identity(Base):
    """One row: where this database was when it last sent, so that a copy can tell; see `copies`.
    A column is empty where it does not apply, or could not be read."""

    __tablename__ = "identity"

    id: Mapped[int] = mapped_column(primary_key=True)
    adopted_at: Mapped[datetime]
    mark: Mapped[str | None]  # SQLite: the id in the mark file beside it
    system_identifier: Mapped[str | None]  # PostgreSQL, these three
    database_oid: Mapped[str | None]
    timeline: Mapped[str | None]


class Audit(Base):
    """Append-only: who changed what by hand, when and why. No personal values in it."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    who: Mapped[str]
    action: Mapped[str]
    why: Mapped[str | None]
    subscriber_id: Mapped[int | None] = mapped_column(ForeignKey("subscriber.id"), index=True)
    detail: Mapped[dict[str, Any]]
