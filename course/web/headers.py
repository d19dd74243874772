"""Headers that hold on every answer. There are no cookies, and no script or style inside a page."""

from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, request

from course.web.site import site

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self' https:",  # a course's logo, pictures in its about text
        "form-action 'self'",
        "base-uri 'none'",
    )
)
CONTENT_SECURITY_POLICY = f"{_POLICY}; frame-ancestors 'none'"
_ALWAYS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    # The address of a page may hold a secret, and a picture or link must not carry it away.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def protect(app: Flask) -> None:
    app.after_request(_add_headers)


def keep_private(blueprint: Blueprint) -> None:
    """For pages whose address holds a secret: kept nowhere, found by no search engine."""
    blueprint.after_request(_add_private_headers)


def let_frame(response: Response) -> Response:
    """For a page that any site may show inside its own: it must not do anything by a click alone,
    because nobody in a frame sees whose page they click on."""
    response.headers["Content-Security-Policy"] = f"{_POLICY}; frame-ancestors *"
    return response


def let_go_on(response: Response, origin: str) -> Response:
    """For a form whose answer leads to another site: some browsers ask the form's page for it."""
    policy = CONTENT_SECURITY_POLICY.replace("form-action 'self'", f"form-action 'self' {origin}")
    response.headers["Content-Security-Policy"] = policy
    return response


def _add_headers(response: Response) -> Response:
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
    if urlsplit(site().settings.public_url).scheme == "https":
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if "Cache-Control" not in response.headers:
        # What answers a form shows what was typed into it.
        posted = request.method == "POST"
        response.headers["Cache-Control"] = "no-store" if posted else "no-cache"
    return response


def _add_private_headers(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response
