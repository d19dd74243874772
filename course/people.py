"""Addresses, names and hashes of people: cleaned at every entrance, before anything else."""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

from email_validator import EmailNotValidError, validate_email

from course.errors import InvalidInputError, UnsendableError

FIELD_LIMIT = 200
_HASH_SHOWN = 12


def parse_email(text: str, *, sandbox: bool = False) -> str:
    """The address in the one form that we keep and compare; InvalidInputError says what is wrong.

    In a sandbox, addresses under `.test` are taken too: some of them bounce on purpose.

    The local part is lower-cased too: no provider of note tells such addresses apart, and two
    rows for one person would be two courses for one inbox.
    """
    given = text.strip()
    if not given:
        raise InvalidInputError("Please enter your e-mail address.")
    try:
        found = validate_email(
            given,
            check_deliverability=False,
            test_environment=sandbox,
            allow_smtputf8=False,
            strict=True,
        )
    except EmailNotValidError as error:
        if _is_complete(given, sandbox=sandbox):
            raise UnsendableError(
                f"We cannot send to “{clean(given)}”: {error} The provider takes no such address."
            ) from None
        raise InvalidInputError(f"“{clean(given)}” is not an e-mail address: {error}") from None
    # The provider takes ASCII alone: an internationalised domain goes in its `xn--` form.
    return (found.ascii_email or found.normalized).lower()


def _is_complete(given: str, *, sandbox: bool) -> bool:
    """An address by the letter of the standards: with letters beyond ASCII before the @, quoted
    ones, or more of them than a mail server has to take (RFC 5321, 4.5.3.1.1: 64)."""
    try:
        validate_email(
            given, check_deliverability=False, test_environment=sandbox, allow_quoted_local=True
        )
    except EmailNotValidError:
        return False
    return True


def shown(email: str) -> str:
    """The address as its owner writes it: an international domain in its own letters."""
    if "xn--" not in email:
        return email
    try:
        return validate_email(email, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        return email


def clean(value: str) -> str:
    """Free text made harmless for one line of a mail: control, line-break and direction marks
    become spaces, runs of space one, cut at 200 characters. Never refused."""
    spaced = value
    if not value.isprintable():
        spaced = "".join(" " if _is_unfit(character) else character for character in value)
    return " ".join(spaced.split())[:FIELD_LIMIT].rstrip()


def harmless(text: str) -> str:
    """A stranger's words for a terminal, which obeys some characters: those become spaces."""
    if text.isprintable():
        return text
    return "".join(" " if _is_unfit(each) and each not in "\n\t" else each for each in text)


def _is_unfit(character: str) -> bool:
    category = unicodedata.category(character)
    if category == "Cf":
        # Joiners shape Persian, Hindi and emoji; the other format marks only hide or turn text.
        return character not in "\u200c\u200d"
    return category in ("Cc", "Cs", "Zl", "Zp")


def email_hash(email: str, key: str) -> str:
    """A keyed hash (HMAC-SHA256, hex): all that stays of an address that was erased."""
    return hmac.new(key.encode(), email.encode(), hashlib.sha256).hexdigest()


def domain_of(email: str) -> str:
    return email.rpartition("@")[2]


# Where a dot in the local part means nothing; two names for the same inboxes.
_DOTLESS = ("gmail.com", "googlemail.com")


def mailbox_of(email: str) -> str:
    """The inbox in which an address ends, as far as providers agree: without `+tag`, and at Google
    without dots. For counting alone: an address is kept and mailed as it was typed."""
    local, _, domain = email.lower().rpartition("@")
    local = local.partition("+")[0] or local
    if domain in _DOTLESS:
        local, domain = local.replace(".", "") or local, _DOTLESS[0]
    return f"{local}@{domain}"


def mailbox_hash(email: str, key: str) -> str:
    """The same keyed hash, of the inbox: that of a plain address is the address's own."""
    return email_hash(mailbox_of(email), key)


def mask(email: str) -> str:
    """`a…@example.com`: enough for its owner to know it."""
    local, _, domain = shown(email).partition("@")
    return f"{local[:1]}…@{domain}"


# Addresses inside of texts, found here alone and by what sign-up takes for one: before the @ stands
# RFC 5322's atext, in which `'`, `/`, `=` and `&` are letters like others. In a link those part its
# pieces, and an address has them as %2F and so on. A domain ends in a letter or a digit. What was
# masked is no address any more: `…` is no letter.
_LETTERS = "a-zA-Z0-9\u00c0-\u1fff\u2070-\u2fff\u3040-\ufeff\uff10-\U0010ffff"
_MARKS = r"_.!$%'*+^`{|}~"
# What no address holds, as JSON, Python and links write it: `\n`, `\u003c`, `%3C`.
_ESCAPED = (
    r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[abfnrtv])"
    r"|%(?:[01][0-9a-fA-F]|2[0289Cc]|3[A-Ca-cEe]|5[B-Db-d])"
)
_LINK = re.compile(r"([a-zA-Z][a-zA-Z0-9+]{0,20}://[^\s\"<>]*)")
# Marks that stand on both sides of an address where they are no letters of it.
_PAIRS = {"'": "'", "`": "`", "{": "}", "|": "|", "*": "*", "/": "/"}


def _pattern(marks: str) -> re.Pattern[str]:
    """Words without an address are passed over as a whole: looked for from each of its letters,
    a long one would take a while."""
    word = f"(?:(?!{_ESCAPED})[{_LETTERS}{marks}-])+"
    domain = rf"[{_LETTERS}]+(?:[.-]+[{_LETTERS}]+)*|\[[^\s\]]*\]"
    return re.compile(f"{_ESCAPED}|(?P<local>{word})(?P<domain>(?:@|%40)(?:{domain}))|{word}")


_IN_LINK, _IN_TEXT = _pattern(_MARKS), _pattern(f"{_MARKS}/=&?#")


def _each_address(text: str, put: Callable[[str, str], str]) -> str:
    """The text with what `put` makes of each address, given its domain as it is written and the
    whole as it is meant."""
    if "@" not in text and "%40" not in text:  # most have none, and there are many of them
        return text

    def replaced(found: re.Match[str]) -> str:
        local, domain = found["local"], found["domain"]
        if local is None:
            return found[0]
        after = found.string[found.end() : found.end() + 1]
        opening = local[0] if local[1:] and after and _PAIRS.get(local[0]) == after else ""
        return opening + put(domain, unquote(local.removeprefix(opening) + domain))

    pieces = _LINK.split(text)
    for place, piece in enumerate(pieces):
        pieces[place] = (_IN_LINK if place % 2 else _IN_TEXT).sub(replaced, piece)
    return "".join(pieces)


def mask_within(text: str) -> str:
    """Each address inside a text as `…@example.com`; mail servers like to quote them."""
    return _each_address(text, lambda domain, _: f"…{domain}")


def hash_within(text: str, key: str) -> str:
    """Each address inside a text as `#` and the beginning of its keyed hash: it tells one person
    from another, and nobody who lacks the table of people who it is."""
    return _each_address(text, lambda _, one: f"#{email_hash(_as_kept(one), key)[:_HASH_SHOWN]}")


def _as_kept(address: str) -> str:
    """As sign-up writes it down."""
    try:
        return parse_email(address, sandbox=True)
    except InvalidInputError:
        return address.lower()
