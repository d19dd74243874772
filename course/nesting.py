"""How deep a lesson's own HTML is nested. What makes a mail of it goes down by recursion in native
code, and would take the whole process with it. Pure."""

import re
from collections import Counter

DEEPEST = 200
# Each of them that stays open is begun again by HTML's rules in every paragraph that follows.
DEEPEST_OF_WORDS = 20
MOST_UNFINISHED = 100

_TAG = re.compile(r"<(/?)([a-z][^\s/<>]*)", re.IGNORECASE)
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
# They end where their like begins: only something else in between makes them deep.
_ENDED_BY_THEIR_LIKE = frozenset("p li dt dd tr td th option".split())
_OF_WORDS = frozenset("a b big code em font i nobr s small strike strong tt u".split())


def fault(html: str) -> str | None:
    """What is wrong with it, if anything. Each element is counted by its name alone: whatever the
    order in which they are closed, no reader of HTML has more of them open."""
    still_open: Counter[str] = Counter()
    depth = of_words = 0
    for found in _TAG.finditer(html):
        name = found[2].lower()
        step = -1 if found[1] else 1
        if name in _VOID | _ENDED_BY_THEIR_LIKE or still_open[name] + step < 0:
            continue
        still_open[name] += step
        depth += step
        of_words += step if name in _OF_WORDS else 0
        if depth > DEEPEST or of_words > DEEPEST_OF_WORDS:
            return f"<{name}> is nested too deeply, or never closed; close what is open before it"
    unfinished = html.rpartition(">")[2]
    if unfinished.count("<") > MOST_UNFINISHED:
        return "a tag is never ended; write its >"
    return None
