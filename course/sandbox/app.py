"""The stand-in as a Flask application; it starts its own thread that posts events."""

from typing import BinaryIO

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from course.sandbox.api import api
from course.sandbox.config import SandboxConfig, config_from
from course.sandbox.inbox import inbox
from course.sandbox.loopback import is_local, is_same_site
from course.sandbox.mailbox_api import mailbox_api
from course.sandbox.refusals import refusal
from course.sandbox.rules import MAX_BODY_BYTES
from course.sandbox.shapes import Problem
from course.sandbox.state import open_sandbox
from course.sandbox.world import world

READ_SIZE = 1 << 20


def create_app(config: SandboxConfig) -> Flask:
    """A stand-in over its store; `app.extensions["sandbox"].close()` ends it."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.extensions["sandbox"] = open_sandbox(config)
    app.before_request(refuse_strangers)
    app.register_error_handler(HTTPException, answer_as_sendgrid)
    app.register_blueprint(api)
    app.register_blueprint(inbox)
    app.register_blueprint(mailbox_api)
    app.register_blueprint(world)
    return app


def create_app_from_env() -> Flask:
    """For a server that takes a factory by its path; run it with one worker process."""
    return create_app(config_from())


def refuse_strangers() -> Response | None:
    if is_local(request) and is_same_site(request):
        return None
    message = "The sandbox answers only this machine: use http://127.0.0.1 or http://localhost.\n"
    return Response(message, 403, mimetype="text/plain")


def answer_as_sendgrid(error: HTTPException) -> Response | HTTPException:
    """JSON for the API's 404 and 405; a body too large is answered in HTML, there as here."""
    if error.code == 413:
        read_to_the_end(request.environ["wsgi.input"])
    if request.path.startswith("/v3/") and error.code in (404, 405):
        return refusal(error.code, Problem(None, error.name.lower()))
    return error


def read_to_the_end(body: BinaryIO) -> None:
    """A client that is still writing would see a broken pipe instead of the answer."""
    while body.read(READ_SIZE):
        pass
