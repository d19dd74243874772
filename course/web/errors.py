"""What goes wrong, as a page in the same style, or as JSON for who asked in JSON."""

import logging

from flask import Flask, Response, jsonify, request
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import BadRequest, Conflict, HTTPException, NotFound, ServiceUnavailable

from course.web.layout import page
from course.web.site import site

log = logging.getLogger(__name__)


class CourseNotFound(NotFound):
    """No such course or cohort, or not yet open to the public."""

    words = "404_course"


class LinkNotFound(NotFound):
    """A link that is none of ours, or that was cut."""

    words = "404_link"


class Closed(Conflict):
    """The course is there, but nobody can join it now."""


class Unreadable(BadRequest):
    """A request that no form of ours sends; `message` says what is wrong with it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def explain(app: Flask) -> None:
    app.register_error_handler(HTTPException, _answer)
    app.register_error_handler(OperationalError, _answer_busy)


def wants_json() -> bool:
    return request.is_json or request.accept_mimetypes.best == "application/json"


def _answer(error: HTTPException) -> Response | HTTPException:
    if error.response is not None:
        return error  # it has words of its own
    if error.code is None or error.code < 400:
        return error
    words = site().texts()["errors"]
    title, text = words.get(getattr(error, "words", str(error.code)), words["400"])
    if isinstance(error, Unreadable):
        text = error.message
    if wants_json():
        response = jsonify(error=f"{title}. {text}")
        response.status_code = error.code
    else:
        response = page("error", error.code, title=title, text=text)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _answer_busy(error: OperationalError) -> Response | HTTPException:
    """Locked beyond patience, or away: whoever asks may ask again."""
    # The statement's parameters may be an address, so only the driver's own words are logged.
    log.error("database: %s", error.orig)
    return _answer(ServiceUnavailable(retry_after=10))
