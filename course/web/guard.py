"""In front of every public write. Nobody is refused for what a page that was kept, a form without
a script or a browser that fills in by itself lacks: they press once more. Only what is asked for
too often, or by a robot, is refused, and that looks as success does."""

import logging
import string
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session
from werkzeug.exceptions import TooManyRequests

from course import budgets, form_tokens, tallies
from course.budgets import Scope, Wish
from course.form_tokens import Purpose
from course.urls import origin_of
from course.web.site import site

log = logging.getLogger(__name__)

# A field that the stylesheet hides from people. A robot that reads the page fills it in.
HONEYPOT = "website"
RETRY_AFTER_SECONDS = 60
_FORWARDED = "X-Forwarded-For"


class Verdict(StrEnum):
    """What becomes of a sign-up; tallied under these names."""

    TAKEN = "taken"
    ONCE_MORE = "asked once more"
    FOREIGN = "foreign"  # JSON, from no page that we know
    HONEYPOT = "honeypot"
    LIMITED = "limited"  # tallied with its scope

    @property
    def is_answered_as_success(self) -> bool:
        return self in (Verdict.TAKEN, Verdict.HONEYPOT, Verdict.LIMITED)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a sign-up brings to show that a person sent it from a page that we know."""

    token: str
    trap: str


def form_token(purpose: Purpose = Purpose.FORM) -> str:
    return form_tokens.make(purpose, site().clock.real(), site().secret_keys)


def judge(session: Session, proof: Proof, email: str) -> Verdict:
    """In the transaction of the sign-up, which it ends with: what this one may be.

    A robot pays from its own network alone.
    """
    real = site().clock.real()
    is_ours = form_tokens.use(session, proof.token, real, site().secret_keys)
    if not (is_ours or proof.trap or (request.is_json and known_origin())):
        verdict = Verdict.FOREIGN if request.is_json else Verdict.ONCE_MORE
        tallies.note(session, verdict, real)
        return verdict
    network, limits = visitor_network(), site().limits
    wishes = budgets.robot_wishes(network) if proof.trap else budgets.sign_up_wishes(network, email)
    full = budgets.spend(session, wishes, real, site().hash_key, limits)
    verdict = Verdict.HONEYPOT if proof.trap else Verdict.LIMITED if full else Verdict.TAKEN
    name = f"{verdict}:{full}" if verdict is Verdict.LIMITED else verdict
    tallies.note(session, name, real)
    return verdict


# Presses behind a link ----------------------------------------------------------------------------


def limit_presses(blueprint: Blueprint) -> None:
    """For every POST of that blueprint. The secret in its address lets it act at once; this keeps
    a network from trying addresses, or from keeping the database busy.

    Leaving is in no such blueprint, and neither is the provider's webhook: whoever wants no more
    mail must never be told to wait, and a mail program presses for thousands from one network; the
    provider's events are signed, and one that is refused would be sent again and again.
    """
    blueprint.before_request(_limit_press)


def _limit_press() -> None:
    if request.method != "POST":
        return
    wish, real = Wish(Scope.LINK, visitor_network()), site().clock.real()
    if site().database.run(lambda s: budgets.spend(s, [wish], real, site().hash_key)):
        raise TooManyRequests(retry_after=RETRY_AFTER_SECONDS)


# Where it comes from ------------------------------------------------------------------------------


def visitor_network() -> str:
    """Of whoever asks: behind proxies that we trust, the last address that none of them has."""
    address = request.remote_addr or ""
    hops = [hop for line in request.headers.getlist(_FORWARDED) for hop in line.split(",")]
    if hops and not _is_trusted(address):
        _warn_of_proxy(address)
    while hops and _is_trusted(address):
        before = _bare(hops.pop())
        if budgets.network_of(before) == "unknown":
            break  # whoever wrote that, it was none of ours
        address = before
    return budgets.network_of(address)


def _is_trusted(address: str) -> bool:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in site().settings.trusted_proxies)


def _bare(hop: str) -> str:
    """Some proxies write the port as well: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    hop = hop.strip().strip('"')
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


@cache
def _warn_of_proxy(address: str) -> None:
    """Once for each: with a proxy that we do not know, all visitors come from one network."""
    if budgets.network_of(address) != "unknown" and ip_address(address).is_private:
        log.warning("a proxy at %s is not in TRUSTED_PROXIES: its visitors count as one", address)


# Other sites --------------------------------------------------------------------------------------


def known_origin() -> str | None:
    """The configured origin, or our own, whose script sends this."""
    given, settings = request.headers.get("Origin"), site().settings
    return given if given in (*settings.signup_origins, origin_of(settings.public_url)) else None


def known_address(url: str) -> str | None:
    """The address to go on to, if it is on a configured origin; browsers read a backslash as a
    slash, and leave out what does not print. Letters beyond ASCII go as a browser sends them; in
    the name of a host they make it none that is configured."""
    if not url.isprintable() or "\\" in url or " " in url:
        return None
    url = quote(url, safe=string.printable)
    try:
        parts = urlsplit(url)
        is_known = "@" not in parts.netloc and origin_of(url) in site().settings.signup_origins
    except ValueError:
        return None
    return url if is_known else None


def allow_origins(response: Response) -> Response:
    """CORS, for the configured origins alone. There is no cookie that could come along."""
    response.vary.add("Origin")
    if origin := known_origin():
        response.headers["Access-Control-Allow-Origin"] = origin
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "POST"
            response.headers["Access-Control-Allow-Headers"] = "Content-Type"
            response.headers["Access-Control-Max-Age"] = "3600"
    return response
