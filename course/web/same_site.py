"""Forms that act are pressed on our own pages. The secret in their address is what a foreign site
lacks; where one has it all the same, the browser says whence a press came."""

from urllib.parse import urlsplit

from flask import Blueprint, request
from werkzeug.exceptions import Forbidden

from course.web.site import site


class Foreign(Forbidden):
    """A form of another site was sent here."""


def refuse_foreign(blueprint: Blueprint) -> None:
    """For every POST of that blueprint."""
    blueprint.before_request(_refuse)


def _refuse() -> None:
    if request.method == "POST" and not _is_ours():
        raise Foreign


def _is_ours() -> bool:
    """Old browsers send neither header. From a page that sends no referrer, such as ours, `Origin`
    is `null` (Fetch, "serialize a request origin"), so the newer header is asked first."""
    place = request.headers.get("Sec-Fetch-Site")
    if place is not None:
        return place in ("same-origin", "none")
    origin = request.headers.get("Origin", "null")
    return origin in ("null", _origin(request.host_url), _origin(site().settings.public_url))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
