"""The words of the ledger: states, kinds and outcomes, and which transition may follow which."""

from enum import StrEnum


class EnrollmentState(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


OPEN_ENROLLMENT = (EnrollmentState.PENDING, EnrollmentState.ACTIVE, EnrollmentState.PAUSED)


class CohortState(StrEnum):
    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"
    PAUSED = "paused"
    ARCHIVED = "archived"


class Latecomers(StrEnum):
    """What a cohort with a first day does with those who confirm after it."""

    JOIN = "join"  # they begin when they confirm
    CATCH_UP = "catch-up"  # what they missed comes one by one, then they are in step
    NEXT = "next"  # they go to the course's next cohort


# A closed cohort takes nobody in any more, but those who are in it go on.
RUNNING_COHORT = (CohortState.OPEN, CohortState.CLOSED)


class DeliveryState(StrEnum):
    PENDING = "pending"
    CLAIMED = "claimed"
    SENDING = "sending"
    ACCEPTED = "accepted"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


_S = DeliveryState

# from → to; whatever is not listed here is a defect. Evidence of acceptance wins from anywhere.
TRANSITIONS: frozenset[tuple[DeliveryState, DeliveryState]] = frozenset(
    {
        (_S.PENDING, _S.CLAIMED),  # a worker takes it
        (_S.CLAIMED, _S.SENDING),  # the line: committed before the first byte leaves
        (_S.CLAIMED, _S.PENDING),  # its lease ended, or it is held
        (_S.CLAIMED, _S.FAILED),  # this person's values cannot be rendered
        (_S.SENDING, _S.PENDING),  # a definite no: the provider took nothing
        (_S.SENDING, _S.CLAIMED),  # a refused batch is narrowed to its bad row
        (_S.SENDING, _S.UNKNOWN),  # nobody can know; never back to pending by time alone
        (_S.SENDING, _S.FAILED),  # the provider named this row as the bad one
        (_S.PENDING, _S.CANCELLED),
        (_S.CLAIMED, _S.CANCELLED),
        (_S.UNKNOWN, _S.PENDING),  # a person's order, or the opt-in `auto` policy
        (_S.UNKNOWN, _S.CANCELLED),  # a person's order
    }
    | {(state, _S.ACCEPTED) for state in DeliveryState if state is not _S.ACCEPTED}
)

UNDECIDED = (_S.PENDING, _S.CLAIMED, _S.SENDING, _S.UNKNOWN)
SETTLED = (_S.ACCEPTED, _S.FAILED, _S.CANCELLED)


class Outcome(StrEnum):
    """What became of an accepted delivery, in rising order: a later word never takes back."""

    PROCESSED = "processed"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    DROPPED = "dropped"


# `delivered` can be followed by a bounce (an asynchronous one), never the other way round.
OUTCOME_RANK: dict[str, int] = {outcome.value: rank for rank, outcome in enumerate(Outcome, 1)}


class EventKind(StrEnum):
    PROCESSED = "processed"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    BLOCKED = "blocked"
    DROPPED = "dropped"
    OPENED = "opened"
    CLICKED = "clicked"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    OTHER = "other"


# Why an enrollment was cancelled: the person left by a link, which they may undo, or the author
# took them out, which only a new sign-up takes back.
LEFT, TAKEN_OUT = "unsubscribed", "taken out"
# Why a lesson is not sent to somebody who was imported to go on behind it.
HAD = "had it before"


class MessageKind(StrEnum):
    """What a mail is for; only lessons count for progress, order, gap and completion."""

    CONFIRMATION = "confirmation"
    ALREADY = "already"
    JOINED = "joined"
    REMINDER = "reminder"
    LINK = "link"
    LESSON = "lesson"
    NOTE = "note"


class LinkPurpose(StrEnum):
    """What a short-lived link is for. Each asks first whether the inbox is theirs who ask; the
    last goes to an address that is to become theirs."""

    DATA = "data"
    ERASE = "erase"
    NAME = "name"
    ADDRESS = "address"
    NEW_ADDRESS = "new-address"

    @classmethod
    def of(cls, message_key: str) -> "LinkPurpose":
        """That of a ledger row named `data:2030-01-07-1`."""
        return cls(message_key.partition(":")[0])


class HoldScope(StrEnum):
    ALL = "all"
    COURSE = "course"
    COHORT = "cohort"
    LESSON = "lesson"


class HoldKind(StrEnum):
    MANUAL = "manual"
    KEY = "key"
    CREDITS = "credits"
    SENDER = "sender"
    LESSON = "lesson"
    BRAKE = "brake"
    COPY = "copy"


class SuppressionReason(StrEnum):
    UNSUBSCRIBED = "unsubscribed"
    ERASED = "erased"
    BOUNCED = "bounced"
    INVALID = "invalid"
    COMPLAINED = "complained"
    MANUAL = "manual"


# What the person did alone; a fresh confirmation by the same person lifts it.
OWN_WISH = (SuppressionReason.UNSUBSCRIBED, SuppressionReason.ERASED)


class Mode(StrEnum):
    SANDBOX = "sandbox"
    LIVE = "live"
