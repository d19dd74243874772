"""What every process writes to stderr, set up in this one place: lines for a person on a terminal,
JSON for a machine everywhere else.

A line holds no secret of the settings, and no address: in its place stands the beginning of the
keyed hash that is `email_hash` in the table of subscribers, so that lines about one person can be
found, and only by who may read that table. `--show-pii` shows addresses, for an hour of trouble.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from course.people import harmless, hash_within, mask_within
from course.processes import FOR_MACHINES
from course.settings import Settings
from course.urls import secrets_of

# Set by `--show-pii`, for this process and for those that it starts.
SHOW_PII = "MINICOURSE_SHOW_PII"
_OF_LINES = ("exception", "stack")
_HIDDEN = "[secret]"
_OURS = ("course", "scheduler")
# A line for each request and each post of events. On a terminal the scheduler's one line for each
# look says the same in words; these come there with LOG_LEVEL=debug.
_OF_REQUESTS = ("course.batch", "course.web.hooks")


def set_up(process: str, settings: Settings, stream: TextIO | None = None) -> None:
    """From now on all that is logged in this process goes there, by default to stderr. Again, as
    after a fork, it takes the place of what was set up before."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(process, settings, is_terminal=stream.isatty()))
    handler.name = None if stream.isatty() else FOR_MACHINES
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    # What libraries say is of interest to who looks for a fault; their `debug` is for who writes
    # them. It would bury ours: a line for each word of a lesson, each job with all that it holds.
    root.setLevel(logging.INFO if level == logging.DEBUG else logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    is_chatty = stream.isatty() and level == logging.INFO
    for name in _OF_REQUESTS:
        logging.getLogger(name).setLevel(logging.WARNING if is_chatty else logging.NOTSET)


def _formatter(process: str, settings: Settings, *, is_terminal: bool) -> logging.Formatter:
    keep = _keeper(settings)

    def private(_logger: object, _method: str, line: EventDict) -> EventDict:
        # Another handler may have left the text as `message`; it is the event.
        kept = {name: _each(value, keep) for name, value in line.items() if name != "message"}
        if not is_terminal:  # JSON writes what a terminal would obey as escapes
            return kept
        return {
            name: _each(value, harmless if name in _OF_LINES else _one_line)
            for name, value in kept.items()
        }

    def named(_logger: object, _method: str, line: EventDict) -> EventDict:
        if is_terminal:
            # The words have said it.
            told = {name: value for name, value in line.items() if name != "did"}
            return {**told, "event": f"{process}: {line['event']}"}
        return {"at": line.pop("at"), "level": line.pop("level"), "process": process, **line}

    render: Processor = _to_json
    if is_terminal:
        render = structlog.dev.ConsoleRenderer(
            colors="NO_COLOR" not in os.environ,
            exception_formatter=structlog.dev.plain_traceback,
            timestamp_key="at",
            pad_event_to=0,
            pad_level=False,
        )
    shape = "%Y-%m-%d %H:%M:%SZ" if is_terminal else "iso"
    return ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt=shape, utc=True, key="at"),
        ],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            private,
            named,
            render,
        ],
    )


def _one_line(text: str) -> str:
    """So that no value looks like a line of its own."""
    return harmless(text).replace("\n", " ")


def _to_json(_logger: object, _method: str, line: EventDict) -> str:
    return orjson.dumps(line, default=str).decode()


# Privacy ----------------------------------------------------------------------------------------


def _keeper(settings: Settings) -> Callable[[str], str]:
    """What makes a text fit to be written."""
    secrets = sorted(set(_secrets(settings)), key=len, reverse=True)
    key = settings.hash_key.get_secret_value() if settings.hash_key else None
    shows_people = os.environ.get(SHOW_PII) == "1"

    def keep(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, _HIDDEN)
        if shows_people:
            return text
        return hash_within(text, key) if key else mask_within(text)

    return keep


def _secrets(settings: Settings) -> Iterable[str]:
    single = (settings.sendgrid_api_key, settings.hash_key, settings.metrics_token)
    for one in (*single, *settings.secret_key):
        if one is not None and one.get_secret_value():
            yield one.get_secret_value()
    if settings.heartbeat_url:
        yield settings.heartbeat_url
    yield from secrets_of(settings.database_url)
    yield from secrets_of(settings.broker_url or "")


def _each(value: Any, keep: Callable[[str], str]) -> Any:
    """Numbers stay numbers; whatever else is written as text is made fit."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {keep(str(name)): _each(one, keep) for name, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_each(one, keep) for one in value]
    return keep(str(value))
