"""The exports of other services: by which columns each is known, what a column is called there, and
what their words for how somebody stands mean here."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from course.states import SuppressionReason

R = SuppressionReason


@dataclass(frozen=True, slots=True)
class Standing:
    """Why a person of another list is not taken in; `bars`: it forbids to mail them at all."""

    why: str
    bars: SuppressionReason | None = None


_LEFT = Standing("unsubscribed there", R.UNSUBSCRIBED)
_BOUNCED = Standing("bounced there", R.BOUNCED)
_COMPLAINED = Standing("complained there", R.COMPLAINED)
_BLOCKED = Standing("blocked there", R.MANUAL)
_UNCONFIRMED = Standing("never confirmed there")
_OUT = Standing("not subscribed there")

_SUBSCRIBED = frozenset({"", "subscribed", "active", "enabled", "confirmed"})
_STANDINGS = {
    "unsubscribed": _LEFT,
    "cancelled": _LEFT,
    "canceled": _LEFT,
    "bounced": _BOUNCED,
    "cleaned": _BOUNCED,
    "complained": _COMPLAINED,
    "spam": _COMPLAINED,
    "junk": _COMPLAINED,
    "blocklisted": _BLOCKED,
    "blacklisted": _BLOCKED,
    "blocked": _BLOCKED,
    "unconfirmed": _UNCONFIRMED,
    "pending": _UNCONFIRMED,
    "inactive": _UNCONFIRMED,
    "nonsubscribed": _OUT,
    "non-subscribed": _OUT,
    "transactional": _OUT,
    "archived": _OUT,
    "deleted": _OUT,
    "disabled": _OUT,
}
# Some services write a file for each standing, and its name alone says which.
_FILE_NAME = re.compile(
    "(unsubscribed|cleaned|nonsubscribed|non-subscribed|bounced|unconfirmed|junk|archived)"
)
_NO = frozenset({"", "0", "no", "false", "-"})


@dataclass(frozen=True, slots=True)
class Format:
    """A service's export. All names are in small letters; of several names the first that is there
    counts."""

    name: str
    title: str
    signs: tuple[frozenset[str], ...]  # all of one of these are its columns
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # ours → theirs
    # A column that says how somebody stands by having something in it.
    marks: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Standing] = field(default_factory=dict)  # where a word means another thing
    json: str = ""  # a column of JSON with whatever else they know of a person
    is_defused: bool = False  # what a spreadsheet would take for a formula begins with '

    def fits(self, headers: Collection[str]) -> bool:
        return any(sign.issubset(headers) for sign in self.signs)

    def standing(self, word: str) -> Standing | None:
        """None: they are subscribed. A word that nobody knows never takes anybody in."""
        word = word.strip().lower()
        if found := self.words.get(word) or _STANDINGS.get(word):
            return found
        if word in _SUBSCRIBED:
            return None
        return Standing(
            f"“{word[:40]}” may not mean subscribed; if it is no standing: --map status="
        )

    def marked(self, values: Mapping[str, str]) -> Standing | None:
        """What the marks in a row say."""
        for column, word in self.marks.items():
            if values.get(column, "").strip().lower() not in _NO:
                return self.standing(word)
        return None

    def of_file(self, name: str) -> Standing | None:
        """What the name of the file says of all who are in it."""
        match = _FILE_NAME.match(name.lower())
        return self.standing(match[1]) if match else None


def _signs(*signs: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(sign.split(",")) for sign in signs)


PLAIN = Format("none", "list", ())
OWN = Format(
    "minicourse",
    "minicourse",
    _signs("email,course,cohort,state,received,lessons"),
    {"status": ("state",)},
    words={
        "pending": _UNCONFIRMED,
        "paused": Standing("paused there"),
        "completed": Standing("through there"),
        # They left a course, or were taken out of it, which says nothing of the others.
        "cancelled": Standing("cancelled there"),
    },
    is_defused=True,
)
FORMATS = (
    OWN,
    Format(
        "mailchimp",
        "Mailchimp",
        _signs("leid,euid", "member_rating,optin_time"),
        {
            "email": ("email address", "email"),
            "first_name": ("first name", "fname"),
            "last_name": ("last name", "lname"),
            "zone": ("timezone",),
        },
        marks={"unsub_time": "unsubscribed", "clean_time": "cleaned"},
    ),
    Format(
        "mailerlite",
        "MailerLite",
        _signs("subscriber,subscribed", "subscriber,opens,clicks"),
        {
            "email": ("subscriber", "email"),
            "first_name": ("name", "first name"),
            "last_name": ("last name",),
            "zone": ("timezone",),
            "status": ("status", "type"),
            "tags": ("groups", "tags"),
        },
        marks={"unsubscribed": "unsubscribed"},
    ),
    Format(
        "listmonk",
        "listmonk",
        _signs("uuid,email,attributes,status"),
        {"status": ("status",)},
        json="attributes",
    ),
    Format(
        "kit",
        "Kit (ConvertKit)",
        _signs("first_name,email,created_at", "first_name,email_address,created_at"),
        {"email": ("email", "email_address"), "status": ("status", "state")},
    ),
)
NAMES = tuple(one.name for one in FORMATS if one is not OWN)


def recognise(headers: Collection[str]) -> Format:
    """Whose export has these columns; a plain list where nobody's has."""
    return next((one for one in FORMATS if one.fits(headers)), PLAIN)


def named(name: str) -> Format:
    return next((one for one in FORMATS if one.name == name), PLAIN)


# What a spreadsheet would run ---------------------------------------------------------------------

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def defused(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def fused(text: str) -> str:
    """The same as it was."""
    is_defused = text.startswith("'") and text.lstrip("'").startswith(_FORMULA)
    return text[1:] if is_defused else text
