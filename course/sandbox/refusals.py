"""An error as SendGrid tells it."""

import orjson
from flask import Response, current_app

from course.sandbox.rules import as_error
from course.sandbox.shapes import Problem


def refusal(status: int, *reasons: Problem) -> Response:
    body = {"errors": [as_error(reason) for reason in reasons]}
    return current_app.response_class(orjson.dumps(body), status, mimetype="application/json")
