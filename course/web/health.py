"""Asked by supervisors, load balancers and monitors: is this process alive, can it serve, and how
does the installation do?"""

import hmac

from flask import Blueprint, Response, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import Forbidden

from course import broker, db, metrics
from course.db import Standing
from course.errors import DatabaseError
from course.urls import is_loopback_host
from course.web.site import site

health = Blueprint("health", __name__)

# Whoever stands between names whom it speaks for in one of these.
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


@health.get("/healthz")
def healthz() -> Response:
    """Alive: no database, or its trouble would have a good process killed."""
    return _text("ok\n")


@health.get("/readyz")
def readyz() -> Response:
    """Able to serve: the database can be reached, and is of this version."""
    try:
        # An open connection answers on, even when the file behind it has been moved away.
        db.require_there(site().settings)
        standing = db.standing(site().database)
    except (SQLAlchemyError, DatabaseError):
        return _text("the database cannot be reached\n", 503)
    if standing is not Standing.CURRENT:
        return _text(f"the database is {standing}; this process is not made for it\n", 503)
    return _text("ready\n")


@health.get("/metrics")
def measured() -> Response:
    """For Prometheus, on this machine or with the token."""
    if not _may_ask():
        raise Forbidden
    from course.web.exposition import TYPE, exposed  # only a monitor needs the library

    fleet = metrics.of_broker(broker.look(site().settings))
    with site().database.reading() as session:
        found = metrics.read(session, site().now(), db.real_now(session))
    found += fleet
    return _text(exposed(found), mimetype=TYPE)


def _may_ask() -> bool:
    token = site().settings.metrics_token
    if token is not None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            given.encode("utf-8", "replace"), token.get_secret_value().encode()
        )
    return _is_from_here()


def _is_from_here() -> bool:
    """A proxy on this machine is a neighbour, too: what it passes on is refused by what it adds,
    or by the name that the visitor asked for. Nothing in a header can make a stranger ours."""
    return (
        is_loopback_host(request.remote_addr or "")
        and is_loopback_host(_name_asked_for())
        and not any(name in request.headers for name in _FORWARDED)
    )


def _name_asked_for() -> str:
    host, _, port = request.host.rpartition(":")
    return (host if port.isdigit() and host else request.host).strip("[]")


def _text(text: str, status: int = 200, mimetype: str = "text/plain") -> Response:
    return Response(
        text, status, content_type=_type(mimetype), headers={"Cache-Control": "no-store"}
    )


def _type(mimetype: str) -> str:
    return mimetype if "charset" in mimetype else f"{mimetype}; charset=utf-8"
