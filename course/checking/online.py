"""Whether links still lead somewhere: asked of the web itself, politely, a few at a time."""

import socket
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import NamedTuple
from urllib.error import HTTPError, URLError

from course.checking.findings import Finding, Rule
from course.checking.links import Link

AT_ONCE = 4
SECONDS = 10.0

_GONE = {404, 410}
# Servers that let no program in tell nothing about the page: 999 is LinkedIn's way.
_NO_ROBOTS = {401, 402, 403, 405, 406, 407, 409, 412, 418, 421, 425, 426, 428, 429, 451, 999}
_HEADERS = {"User-Agent": "minicourse course check", "Accept": "*/*"}


class _Answer(NamedTuple):
    rule: Rule
    what: str


def probe(links: Iterable[Link], seconds: float = SECONDS) -> list[Finding]:
    """Ask for each address once; what is gone is an error, what cannot be told a warning."""
    places: dict[str, list[Link]] = {}
    for link in links:
        places.setdefault(link.url.partition("#")[0], []).append(link)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda url: _ask(url, seconds), places))
    return [
        Finding(answer.rule, link.file, link.line, f"“{link.url}” {answer.what}", _mend(answer))
        for answer, found in zip(answers, places.values(), strict=True)
        if answer
        for link in dict.fromkeys(found)
    ]


def _mend(answer: _Answer) -> str:
    if answer.rule is Rule.LINK_DEAD:
        return "Open it in a browser; then mend the address, or take the link out."
    return "Open it in a browser; if it works there, run the check again later."


def _ask(url: str, seconds: float) -> _Answer | None:
    """HEAD is cheap; as some servers answer it wrongly, GET has the last word."""
    answer = _fetch(url, "HEAD", seconds)
    return _fetch(url, "GET", seconds) if answer else None


def _fetch(url: str, method: str, seconds: float) -> _Answer | None:
    request = urllib.request.Request(url, headers=_HEADERS, method=method)  # noqa: S310 (http alone)
    try:
        with urllib.request.urlopen(request, timeout=seconds):  # noqa: S310
            return None
    except HTTPError as error:
        error.close()
        return _of_status(error.code)
    except URLError as error:
        return _of_reason(error.reason)
    except (OSError, HTTPException, ValueError) as error:
        return _of_reason(error)


def _of_status(status: int) -> _Answer | None:
    if status in _GONE:
        return _Answer(Rule.LINK_DEAD, f"is gone: the server answers {status}")
    if status in _NO_ROBOTS:
        return None
    return _Answer(Rule.LINK_UNSURE, f"is answered with {status}")


def _of_reason(reason: object) -> _Answer:
    if isinstance(reason, socket.gaierror):
        return _Answer(Rule.LINK_UNSURE, "has a host that is not found")
    if isinstance(reason, TimeoutError):
        return _Answer(Rule.LINK_UNSURE, "does not answer in time")
    return _Answer(Rule.LINK_UNSURE, f"cannot be reached: {' '.join(str(reason).split())}")
