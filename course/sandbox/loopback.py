"""Who counts as this machine: the stand-in speaks to nobody else."""

from urllib.parse import urlsplit

from flask import Request

from course.urls import is_loopback_host


def host_of(url: str) -> str:
    """The URL's host name without port or brackets; empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_local(request: Request) -> bool:
    """Whether a request comes from this machine and asks for it by name.

    The Host header is looked at as well: by DNS rebinding a web page in the author's own browser
    can reach a loopback address under a foreign name. A forwarding header tells of a proxy that
    would show the inbox to others.
    """
    forwarded = any(name in request.headers for name in ("Forwarded", "X-Forwarded-For"))
    asked_for, asked_by = host_of(f"//{request.host}"), request.remote_addr or ""
    return is_loopback_host(asked_by) and is_loopback_host(asked_for) and not forwarded


def is_same_site(request: Request) -> bool:
    """Whether what changes something was asked for by a script or by our own pages."""
    origin = request.headers.get("Origin")
    return request.method in ("GET", "HEAD") or origin in (None, request.host_url.rstrip("/"))
