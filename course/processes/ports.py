"""Who listens where: asked before a port is taken, and before mail goes to one."""

import socket
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from course.errors import ModeError, RefusedError
from course.settings import Settings

_PATIENCE_SECONDS = 2.0


def address_of(url: str) -> tuple[str, int]:
    """Host and port of a URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def url(host: str, port: int) -> str:
    """The http URL of a server, also where the host is an IPv6 address."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def require_free(host: str, port: int, remedy: str) -> None:
    """Raise RefusedError where nobody can listen there now; `remedy` is the message's last part."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        reason = reason.partition(" (while")[0]
        raise RefusedError(f"Cannot listen on {host}:{port}: {reason}. {remedy}") from None


def free_port() -> int:
    """A port of this machine that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def is_listening(url: str) -> bool:
    try:
        socket.create_connection(address_of(url), _PATIENCE_SECONDS).close()
    except OSError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether a server on this machine answers that http URL, with whatever status."""
    connection = HTTPConnection(*address_of(url), timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", urlsplit(url).path or "/")
        connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def require_sandbox(settings: Settings) -> None:
    """Raise ModeError where mail would go to a stand-in that is not there."""
    if settings.sandboxed and not is_listening(settings.mail_host):
        raise ModeError(
            f"Nobody takes mail at {settings.mail_host}. Start the stand-in for SendGrid in "
            "another terminal with: minicourse sandbox"
        )
