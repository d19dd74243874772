"""The body of a request, whole or refused."""

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge


def whole_body() -> bytes:
    """Without a Content-Length (chunked) Werkzeug cuts a body at the limit and says nothing."""
    body = request.get_data()
    limit = request.max_content_length
    if limit is not None and len(body) >= limit:
        raise RequestEntityTooLarge
    return body
