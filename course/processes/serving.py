"""HTTP servers: Granian with one worker and one blocking thread, because SQLite has one writer."""

import multiprocessing

from flask import Flask
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from course import logs
from course.processes.children import end_with
from course.settings import Settings

_STOP_SECONDS = 10
# Chatter goes where all of ours goes: through the root logger to stderr.
_LOGGING = {"handlers": {}, "loggers": {"_granian": {"propagate": True}}}


def serve_web(host: str, port: int) -> None:
    """Serve the public pages until SIGTERM or SIGINT."""
    _serve("web", host, port)


def serve_sandbox(host: str, port: int) -> None:
    """Serve the stand-in, set up by its environment variables, until SIGTERM or SIGINT."""
    _serve("sandbox", host, port)


def web() -> Flask:
    """Made in the worker, after its fork."""
    _end_with_server()
    settings = Settings.load()
    logs.set_up("web", settings)
    from course.web.app import create_app

    return create_app(settings)


def sandbox() -> Flask:
    """The same for the stand-in."""
    _end_with_server()
    logs.set_up("sandbox", Settings.load())
    from course.sandbox.app import create_app_from_env

    return create_app_from_env()


def _serve(factory: str, host: str, port: int) -> None:
    logs.set_up(factory, Settings.load())
    Granian(
        f"{__name__}:{factory}",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=1,
        blocking_threads=1,
        workers_kill_timeout=_STOP_SECONDS,
        log_level=LogLevels.warning,
        log_dictconfig=_LOGGING,
    ).serve()


def _end_with_server() -> None:
    """Granian's worker would keep the port when its parent is killed."""
    server = multiprocessing.parent_process()
    if server is not None and server.pid is not None:
        end_with(server.pid)
