"""Whether addresses can work from a mail: links and pictures, judged by how they are written."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from course.checking.findings import Rule
from course.checking.page import Run
from course.urls import is_loopback_host

# Markdown that did not become a link: its brackets are still to be seen.
_LEFT_OVER = re.compile(r"\]\(\S|\]\s\((?:https?:|www\.|mailto:)|\]\[\w")
_MAIL = re.compile(r"[^@\s?]+@[^@\s?]+\.[^@\s?.]+")
_WEB = ("http", "https")


class Fault(NamedTuple):
    """What is wrong with an address."""

    rule: Rule
    what: str
    mend: str


class Link(NamedTuple):
    """An address of the web, and where its author wrote it."""

    url: str
    file: str
    line: int


def judge(url: str) -> Fault | None:
    """What is wrong with a link in a mail."""
    if fault := _unreadable(url):
        return fault
    scheme, _, rest = url.partition(":")
    match scheme.lower():
        case "http" | "https":
            return _web(url)
        case "mailto":
            if all(_MAIL.fullmatch(part) for part in rest.partition("?")[0].split(",")):
                return None
            return _malformed(url, "Write it like mailto:robin@example.com.")
        case "tel" | "sms":
            return None
    return _malformed(url, f"Write it whole: https://{_guess(url)}")


def judge_image(url: str) -> Fault | None:
    """What is wrong with the address of a picture in a mail."""
    scheme = url.partition(":")[0].lower()
    fault = _unreadable(url) or (_web(url) if scheme in _WEB else None)
    if fault and fault.rule is Rule.LINK_LOCAL:
        return fault
    if scheme in _WEB and not fault:
        return None
    return Fault(
        Rule.IMAGE_ADDRESS,
        f"the picture’s address is {_short(url)}",
        "Put the picture on the web, and write its whole address: https://….",
    )


def is_of_the_web(url: str) -> bool:
    """Whether somebody may knock at it."""
    fault = judge(url)
    well = fault is None or fault.rule is Rule.LINK_LOCAL
    return well and url.partition(":")[0].lower() in _WEB


def left_over(runs: list[Run]) -> str | None:
    """The first piece of text that was meant to be a link."""
    for run in runs:
        found = None if run.is_code else _LEFT_OVER.search(run.text)
        if found:
            line = run.text[: found.end()].rpartition("\n")[2]
            return line[-30:] + run.text[found.end() :].partition("\n")[0][:30]
    return None


def _unreadable(url: str) -> Fault | None:
    if not url or url.startswith("#"):
        return Fault(Rule.LINK_MALFORMED, "a link without an address", "Write where it leads.")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return _malformed(url, "Copy it once more from where it opens.")
    if re.search(r"[\s<>]", url):
        return _malformed(url, "An address has no blanks; write %20 for one.")
    return None


def _web(url: str) -> Fault | None:
    host = urlsplit(url).hostname or ""
    if not host or not re.fullmatch(r"[\w.-]+|[0-9a-f:.]+", host) or ".." in host:
        return _malformed(url, "Write it like https://example.com/page.")
    if local := _local(url):
        return local
    # `https://https://…` names a host that is called https.
    if "." not in host.strip("."):
        return _malformed(url, "Its host has no dot; write it like https://example.com/page.")
    return None


def _local(url: str) -> Fault | None:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return None
    if not (is_loopback_host(host) or host.endswith((".local", ".localhost"))):
        return None
    return Fault(Rule.LINK_LOCAL, f"{_short(url)} is this machine", "Write its public address.")


def _malformed(url: str, mend: str) -> Fault:
    return Fault(Rule.LINK_MALFORMED, f"{_short(url)} is no whole address", mend)


def _guess(url: str) -> str:
    return url.lstrip("/") if re.match(r"/*[\w-]+(\.[\w-]+)+(/|$)", url) else "example.com/page"


def _short(url: str) -> str:
    return f"“{url}”" if len(url) <= 100 else f"“{url[:99]}…”"
