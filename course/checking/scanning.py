"""Code and expressions found in an author's text, in one walk from its beginning to its end.

A regular expression would look for the end of each beginning anew, and a text of nothing but
beginnings would take it minutes.
"""

import re
from collections.abc import Callable, Iterator

_JINJA = {"{{": "}}", "{%": "%}", "{#": "#}"}
_JINJA_BEGINS = re.compile(r"\{[{%#]")
_TICKS = re.compile(r"`+")
_FENCE = re.compile(r"(`{3,}(?=[^`]*$)|~{3,})")
_NOT_LINE_END = re.compile(r"[^\n]")


def blank(found: re.Match[str] | str) -> str:
    """As many blanks, so that every line keeps its number."""
    return _NOT_LINE_END.sub(" ", found if isinstance(found, str) else found[0])


def without_code(text: str) -> str:
    """The text with blanks for what readers do not see, and for what stands in it to be shown as
    it is: comments, fenced blocks and words between backticks."""
    text = _replaced(text, {"{#": "#}"}, blank)
    return "".join(_paragraphs(text.splitlines(keepends=True)))


def without_jinja(text: str) -> str:
    return _replaced(text, _JINJA, lambda _: "")


def in_jinja(text: str, change: Callable[[str], str]) -> str:
    """The text with each expression and statement changed."""
    return _replaced(text, {"{{": "}}", "{%": "%}"}, change)


def _replaced(text: str, marks: dict[str, str], change: Callable[[str], str]) -> str:
    """What stands between two marks is changed, marks and all. Where one kind of end was looked
    for in vain, there is none further on."""
    ends = dict(marks)
    pieces: list[str] = []
    at = 0
    for found in _JINJA_BEGINS.finditer(text):
        if found.start() < at or found[0] not in ends:
            continue
        end = text.find(ends[found[0]], found.end())
        if end < 0:
            del ends[found[0]]
            continue
        pieces += [text[at : found.start()], change(text[found.start() : end + 2])]
        at = end + 2
    return "".join((*pieces, text[at:]))


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """The lines again, paragraph by paragraph: fenced ones as blanks."""
    paragraph: list[str] = []
    fence = ""
    fenced: list[str] = []
    for line in lines:
        begins = _FENCE.match(line.rstrip())
        if fence:
            fenced.append(line)
            if begins and _closes(line, fence):
                yield blank("".join(fenced))
                fence, fenced = "", []
        elif begins:
            yield _without_ticks("".join(paragraph))
            paragraph, fence, fenced = [], begins[1], [line]
        else:
            paragraph.append(line)
            if not line.strip():
                yield _without_ticks("".join(paragraph))
                paragraph = []
    # A fence that is never closed reaches to the end, as Markdown has it.
    yield blank("".join(fenced))
    yield _without_ticks("".join(paragraph))


def _closes(line: str, fence: str) -> bool:
    rest = line.strip()
    return len(rest) >= len(fence) and not rest.strip(fence[0])


def _without_ticks(paragraph: str) -> str:
    """Blanks from each run of backticks to the next one that is as long."""
    runs = list(_TICKS.finditer(paragraph))
    next_alike: dict[int, int] = {}  # by the place of a run in the list
    latest: dict[int, int] = {}
    for place in range(len(runs) - 1, -1, -1):
        length = len(runs[place][0])
        if length in latest:
            next_alike[place] = latest[length]
        latest[length] = place
    pieces: list[str] = []
    at = place = 0
    while place < len(runs):
        if place in next_alike:
            closing = next_alike[place]
            start, end = runs[place].start(), runs[closing].end()
            pieces += [paragraph[at:start], blank(paragraph[start:end])]
            at, place = end, closing
        place += 1
    return "".join((*pieces, paragraph[at:]))
