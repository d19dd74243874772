"""Addresses, names and hashes of people: cleaned at every entrance, before anything else."""

import hashlib
import hmac
import re
import unicodedata

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


# What stands around an `@`, plain or as in a link; `/@name` is no address. It is looked for only
# from the beginning of a word: from each letter, a long one without an `@` would take a while.
_LETTER = r"[^\s@/?&=#<>\"'(),;:]"
_ADDRESS = re.compile(f"(?<!{_LETTER}){_LETTER}+(@|%40)({_LETTER}+)")


def mask_within(text: str) -> str:
    """The same for each address inside a text; mail servers like to quote them."""
    has_one = "@" in text or "%40" in text  # most have none, and there are many of them
    return _ADDRESS.sub(r"…\1\2", text) if has_one else text


def hash_within(text: str, key: str) -> str:
    """Each address inside a text as `#` and the beginning of its keyed hash: it tells one person
    from another, and nobody who lacks the table of people who it is."""

    def hashed(found: re.Match[str]) -> str:
        return f"#{email_hash(found[0].replace('%40', '@').lower(), key)[:_HASH_SHOWN]}"

    has_one = "@" in text or "%40" in text
    return _ADDRESS.sub(hashed, text) if has_one else text
