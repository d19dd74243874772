"""Is all in place for mail to real people? One line for each thing, in the order in which one needs
the other, with the one thing to do next where it is not."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from course import checking, courses, installation, sources
from course.account import Account, AccountError, Domain, Webhook
from course.checking.findings import Severity
from course.errors import MinicourseError
from course.office import site_of
from course.outside import Outside, UnreachableError
from course.settings import Settings
from course.urls import is_loopback
from course.wording import counted

WEBHOOK_PATH = "/webhooks/sendgrid"
# What the provider's own selectors are called where it chooses them itself.
_SELECTORS = ("s1", "s2")
_AUTHENTICATION = "https://app.sendgrid.com/settings/sender_auth"
_KEYS = "https://app.sendgrid.com/settings/api_keys"
# What a key may do beside sending, and what that is for.
_OPTIONAL_SCOPES = {
    "user.webhooks.event.settings.read": "to see the webhook",
    "whitelabel.read": "to see the domain",
}


class State(StrEnum):
    """How it stands; what cannot be known from here stops nobody."""

    WELL = "✓"
    MISSING = "✗"
    UNKNOWN = "?"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at; `todo` is what to do about it, `paste` lines to copy."""

    name: str
    state: State
    found: str
    todo: str | None = None
    paste: tuple[str, ...] = ()


def well(name: str, found: str) -> Line:
    return Line(name, State.WELL, found)


def missing(name: str, found: str, todo: str, paste: Iterable[str] = ()) -> Line:
    return Line(name, State.MISSING, found, todo, tuple(paste))


def unknown(name: str, found: str, todo: str | None = None) -> Line:
    return Line(name, State.UNKNOWN, found, todo)


@dataclass(frozen=True, slots=True)
class Heard:
    """When the provider last posted to us; when a test mail last left, and was told of."""

    webhook_at: datetime | None
    test_sent_at: datetime | None
    test_heard_at: datetime | None


def heard(session: Session, settings: Settings) -> Heard:
    """What was heard of the provider itself: nothing yet, where the sandbox's own key is taken for
    the provider's."""
    here = installation.get(session)
    if here.sandbox_public_key in settings.sendgrid_webhook_public_key:
        return Heard(None, here.test_sent_at, None)
    return Heard(here.webhook_heard_at, here.test_sent_at, here.test_heard_at)


def look(
    session: Session, settings: Settings, outside: Outside, known: Heard | None = None
) -> Iterator[Line]:
    """All of it, each as soon as it is known; asks the network. `known` takes the place of what
    was heard here."""
    known = known or heard(session, settings)
    yield _host(settings)
    if settings.clock_file is not None:
        found = f"MINICOURSE_CLOCK_FILE is {settings.clock_file}: time is made up"
        yield missing("clock", found, "Remove it.")
    yield _public_url(settings, outside)
    account, scopes, line = _key(outside)
    yield line
    yield _sender(settings)
    yield from _domain(settings, outside, account, scopes)
    yield _postal_address(settings)
    yield _webhook(known, settings, account, scopes)
    yield _limit(settings)
    yield from _lessons(session, settings)
    yield _test_mail(known)


# Settings -----------------------------------------------------------------------------------------


def _host(settings: Settings) -> Line:
    if settings.sendgrid_api_key is None or not settings.sandboxed:
        return well("mail host", settings.sendgrid_host)
    found = f"SENDGRID_HOST is {settings.sendgrid_host}, a stand-in here"
    return missing("mail host", found, f"Remove SENDGRID_HOST from {settings.home / '.env'}")


def _sender(settings: Settings) -> Line:
    if not settings.has_sender:
        todo = "Set MAIL_FROM to an address of your own domain"
        return missing("sender", "MAIL_FROM is not set", todo)
    return well("sender", settings.mail_from)


def _postal_address(settings: Settings) -> Line:
    if settings.postal_address == Settings.model_fields["postal_address"].default:
        todo = "Set POSTAL_ADDRESS: the law asks for it in each mail"
        return missing("postal address", "POSTAL_ADDRESS is not set", todo)
    return well("postal address", " · ".join(settings.postal_address.splitlines()))


def _limit(settings: Settings) -> Line:
    if settings.send_limit:
        limits = " and ".join(map(str, settings.send_limit))
        return well("limit", f"SEND_LIMIT: at most {limits}")
    found = "SEND_LIMIT is not set: as many as SendGrid takes"
    todo = "A SendGrid trial takes 100 a day for 60 days: SEND_LIMIT=100/day keeps within it"
    return unknown("limit", found, todo)


# Our own pages ------------------------------------------------------------------------------------


def _public_url(settings: Settings, outside: Outside) -> Line:
    name, url = "public address", settings.public_url
    if not url.startswith("https://") or is_loopback(url):
        todo = "Set PUBLIC_URL to the https address of your server"
        return missing(name, f"PUBLIC_URL is {url}: links in mails need https and a name", todo)
    try:
        page = outside.page(f"{url}/healthz")
    except UnreachableError as error:
        todo = "Open it in a browser, away from this network; is `minicourse up` running?"
        return unknown(name, f"{error}; others may see it all the same", todo)
    if page.status != 200 or page.text.strip() != "ok":
        todo = "Have the web server in front hand requests on to 127.0.0.1:8000, and start: up"
        return missing(name, f"{url}/healthz answers {page.status}, and not as we do", todo)
    return well(name, f"{url} answers (asked from this machine)")


# The account --------------------------------------------------------------------------------------


def _key(outside: Outside) -> tuple[Account | None, frozenset[str], Line]:
    name, account = "key", outside.account
    if account is None:
        todo = f"Make one with the right Mail Send at {_KEYS} and set SENDGRID_API_KEY"
        return None, frozenset(), missing(name, "SENDGRID_API_KEY is not set", todo)
    try:
        scopes = account.scopes()
    except AccountError as error:
        if error.is_refused:
            todo = f"Make another with the right Mail Send at {_KEYS}"
            return None, frozenset(), missing(name, f"SendGrid refuses it: {error}", todo)
        todo = "Try again in a moment; look at https://status.sendgrid.com"
        return None, frozenset(), unknown(name, f"SendGrid was not asked: {error}", todo)
    if "mail.send" not in scopes:
        todo = f"Give it the right Mail Send at {_KEYS}"
        return account, scopes, missing(name, "it is accepted, but may not send", todo)
    absent = [f"{scope}, {use}" for scope, use in _OPTIONAL_SCOPES.items() if scope not in scopes]
    more = f"; without {'; '.join(absent)}" if absent else ""
    return account, scopes, well(name, f"accepted, and may send{more}")


def _domain(
    settings: Settings, outside: Outside, account: Account | None, scopes: frozenset[str]
) -> Iterator[Line]:
    if not settings.has_sender:
        return
    name = settings.mail_from.rpartition("@")[2].lower()
    found: Domain | None = None
    if account is not None and "whitelabel.read" in scopes:
        try:
            found = _of(name, account.domains())
        except AccountError as error:
            yield unknown("domain", f"SendGrid does not say: {error}")
        else:
            yield _authenticated(settings.mail_from.lower(), found, account)
    elif account is not None:
        todo = f"Look whether {name} is verified at {_AUTHENTICATION}"
        yield unknown("domain", "this key may not see it", todo)
    for line in (_dkim, _spf, _dmarc):
        try:
            yield line(name, found, outside)
        except UnreachableError as error:
            yield unknown(line.__name__.strip("_").upper(), str(error))


def _of(name: str, domains: Iterable[Domain]) -> Domain | None:
    fitting = [one for one in domains if name == one.name or name.endswith(f".{one.name}")]
    return max(fitting, key=lambda one: (one.is_valid, len(one.name)), default=None)


def _authenticated(sender: str, found: Domain | None, account: Account) -> Line:
    name = sender.rpartition("@")[2]
    if found is None:
        todo = f"Authenticate the domain {name} at {_AUTHENTICATION}"
        if _is_verified(sender, account):
            alone = f"{sender} is a verified single sender: such mail often lands in spam"
            return unknown("domain", alone, todo)
        return missing("domain", f"SendGrid does not know {name}", todo)
    if found.is_valid:
        return well("domain", f"{found.name} is authenticated")
    lines = [f"{one.host}  {one.type}  {one.data}" for one in found.records if not one.is_valid]
    todo = f"Add these to {found.name}'s records, and press Verify at {_AUTHENTICATION}"
    return missing("domain", f"{found.name} is not verified yet", todo, lines)


def _is_verified(sender: str, account: Account) -> bool:
    try:
        return sender in account.verified_senders()
    except AccountError:
        return False


def _dkim(name: str, found: Domain | None, outside: Outside) -> Line:
    wanted = [one for one in found.records if "_domainkey" in one.host] if found else []
    hosts = [one.host for one in wanted] or [f"{one}._domainkey.{name}" for one in _SELECTORS]
    absent = [host for host in hosts if not _is_there(host, outside)]
    if not absent:
        return well("DKIM", f"the keys of {name} are published")
    if not wanted:
        found_here = f"no key is published at {' or '.join(hosts)}"
        return unknown("DKIM", found_here, f"It comes with the domain: {_AUTHENTICATION}")
    lines = [f"{one.host}  {one.type}  {one.data}" for one in wanted if one.host in absent]
    return missing("DKIM", f"not published: {', '.join(absent)}", "Add these records", lines)


def _is_there(host: str, outside: Outside) -> bool:
    return bool(outside.records(host, "CNAME") or outside.records(host, "TXT"))


def _spf(name: str, found: Domain | None, outside: Outside) -> Line:
    """With automated security, SendGrid's own name in the envelope answers for SPF."""
    own = (
        [one for one in found.records if one.type == "CNAME" and "domainkey" not in one.host]
        if found
        else []
    )
    if any(_is_there(one.host, outside) for one in own):
        return well("SPF", f"{own[0].host} answers for it")
    texts = [text for text in outside.records(name, "TXT") if text.lower().startswith("v=spf1")]
    if any("include:sendgrid.net" in text.lower() for text in texts):
        return well("SPF", f"{name} names SendGrid")
    if texts:
        line = texts[0].replace("v=spf1", "v=spf1 include:sendgrid.net", 1)
        todo = "Change the record that is there (a name may have only one)"
        return missing("SPF", f"{name} does not name SendGrid", todo, [f'{name}  TXT  "{line}"'])
    if found is None:
        return unknown("SPF", f"{name} has no record; SendGrid's own may answer for it")
    line = f'{name}  TXT  "v=spf1 include:sendgrid.net ~all"'
    return missing("SPF", f"{name} has no record", "Add this record", [line])


def _dmarc(name: str, _found: Domain | None, outside: Outside) -> Line:
    labels = name.split(".")
    for start in range(max(len(labels) - 1, 1)):
        above = ".".join(labels[start:])
        texts = outside.records(f"_dmarc.{above}", "TXT")
        if any(text.lower().startswith("v=dmarc1") for text in texts):
            return well("DMARC", f"_dmarc.{above} is published")
    line = f'_dmarc.{name}  TXT  "v=DMARC1; p=none; rua=mailto:postmaster@{name}"'
    todo = "Add this record; Gmail and Yahoo ask for it"
    return missing("DMARC", f"{name} has no policy", todo, [line])


# Events -------------------------------------------------------------------------------------------


def _webhook(
    known: Heard, settings: Settings, account: Account | None, scopes: frozenset[str]
) -> Line:
    name, todo = "webhook", "minicourse sendgrid setup"
    if not settings.sendgrid_webhook_public_key:
        return missing(name, "SENDGRID_WEBHOOK_PUBLIC_KEY is not set", todo)
    if account is not None and "user.webhooks.event.settings.read" in scopes:
        try:
            wrong = _wrong(settings, account.webhooks())
        except AccountError as error:
            return unknown(name, f"SendGrid does not say: {error}")
        if wrong:
            return missing(name, wrong, todo)
    if known.webhook_at is None:
        return missing(name, "nothing signed with its key was heard yet", todo)
    return well(name, f"registered, signed, and heard ({known.webhook_at:%Y-%m-%d %H:%M} UTC)")


def webhook_url(settings: Settings) -> str:
    return f"{settings.public_url}{WEBHOOK_PATH}"


def ours(settings: Settings, webhooks: Iterable[Webhook]) -> Webhook | None:
    """The account's webhook that posts to us."""
    return next((one for one in webhooks if one.url.rstrip("/") == webhook_url(settings)), None)


def _wrong(settings: Settings, webhooks: Iterable[Webhook]) -> str | None:
    found = ours(settings, webhooks)
    if found is None:
        return f"SendGrid posts no events to {webhook_url(settings)}"
    if not found.is_complete:
        return "it is off, or some of the events are"
    if not found.public_key:
        return "its posts are not signed"
    if found.public_key not in settings.sendgrid_webhook_public_key:
        return "it signs with another key than SENDGRID_WEBHOOK_PUBLIC_KEY"
    return None


# Lessons and a test mail --------------------------------------------------------------------------


def _lessons(session: Session, settings: Settings) -> Iterator[Line]:
    published = [one for one in courses.all_live(session) if one.state == courses.PUBLISHED]
    if not published:
        found = "no course is published"
        yield missing("lessons", found, "minicourse course publish COURSE")
    for live in published:
        yield _lesson_line(settings, live.slug)


def _lesson_line(settings: Settings, slug: str) -> Line:
    name = f"lessons of {slug}"
    try:
        findings = checking.check(sources.read(settings.home, slug), site_of(settings))
    except MinicourseError as error:
        return missing(name, str(error), f"minicourse course check {slug}")
    errors = sum(one.severity is Severity.ERROR for one in findings)
    if errors:
        return missing(name, counted(errors, "error"), f"minicourse course check {slug}")
    more = f", {counted(len(findings), 'remark')}" if findings else ""
    return well(name, f"pass the check{more}")


def _test_mail(known: Heard) -> Line:
    name = "test mail"
    todo = "minicourse live --test-to YOUR@ADDRESS"
    if known.test_sent_at is None:
        return missing(name, "none was sent through SendGrid yet", todo)
    if known.test_heard_at is None or known.test_heard_at < known.test_sent_at:
        found = f"sent {known.test_sent_at:%Y-%m-%d %H:%M} UTC, and no event of it came back yet"
        return missing(name, found, "Wait half a minute and run again: minicourse live")
    return well(name, "one was sent, and its event came back")
