"""The line under a subject in the list: what a mail program would show of a mail's own words."""

import re
from collections.abc import Iterator
from html import unescape
from itertools import pairwise

from course.sandbox.mails import Mail

LONGEST = 160
# A head (course, progress, title) ends in a rule; further down a rule is part of the body.
_HEAD_LINES = 10
_RULE = re.compile(r"[=\-_*]{3,}$")
_HEADING = re.compile(r"#{1,6} ")
_SIGNATURE = "--"
# What mail programs show after the subject stands first in the HTML, hidden in the mail itself.
_PREHEADER = re.compile(
    r'<(div|span|p)\s[^<>]{0,200}class="[^"<>]{0,200}\bpreheader\b[^<>]{0,200}>(.{0,9999}?)</\1>',
    re.S,
)
_TAG = re.compile(r"<[^<>]*>")
# They fill the preview, so that no more than the preheader is in it.
_INVISIBLE = re.compile("[\u00ad\u034f\u200b-\u200f\u2060\ufeff]")


def snippet(mail: Mail) -> str:
    """The preheader where the HTML has one, else the first words of the text's body."""
    words = _preheader(mail.html or "") or " ".join(_body(mail.text or "").split())
    return words if len(words) <= LONGEST else f"{words[:LONGEST].rsplit(' ', 1)[0]} …"


def _preheader(html: str) -> str:
    found = _PREHEADER.search(html)
    text = unescape(_TAG.sub("", found[2])) if found else ""
    return " ".join(_INVISIBLE.sub("", text).split())


def _body(text: str) -> str:
    """Without head, headings, rules and signature; a mail of nothing else is shown as it is."""
    lines = [line.strip() for line in text.splitlines()]
    return "\n".join(_words(_without_head(lines))) or text


def _without_head(lines: list[str]) -> list[str]:
    for number, line in enumerate(lines[:_HEAD_LINES]):
        if _RULE.match(line) and "=" in line:
            return lines[number + 1 :]
    return lines


def _words(lines: list[str]) -> Iterator[str]:
    for line, below in pairwise([*lines, ""]):
        if line == _SIGNATURE:
            return
        is_heading = _HEADING.match(line) or (line and _RULE.match(below))
        if line and not is_heading and not _RULE.match(line):
            yield line
