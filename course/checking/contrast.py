"""Whether text can be told from its ground: WCAG 2's contrast of the colours in a rendered mail,
by day and, where its styles speak of it, by night."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from css_inline import CSSInliner

from course.checking import page

LEAST_RATIO = 4.5

# No pattern looks further than to where its like may begin again: a mail of nothing but beginnings
# would take hours.
_STYLE = re.compile(r"<style\b[^<>]*>", re.IGNORECASE)
_STYLE_END = re.compile(r"</style\s*>", re.IGNORECASE)
_MEDIA = re.compile(r"@media([^{@]*)\{", re.IGNORECASE)
_DARK = re.compile(r"prefers-color-scheme:\s*dark", re.IGNORECASE)
_inliner = CSSInliner(load_remote_stylesheets=False)

# The colours that have had names since the first CSS.
_NAMED = {
    **{"black": "#000000", "silver": "#c0c0c0", "gray": "#808080", "grey": "#808080"},
    **{"white": "#ffffff", "maroon": "#800000", "red": "#ff0000", "purple": "#800080"},
    **{"fuchsia": "#ff00ff", "green": "#008000", "lime": "#00ff00", "olive": "#808000"},
    **{"yellow": "#ffff00", "navy": "#000080", "blue": "#0000ff", "teal": "#008080"},
    **{"aqua": "#00ffff", "orange": "#ffa500"},
}


class Faint(NamedTuple):
    """Text that is too like its ground; the colours as they are written in the mail."""

    text: str
    color: str
    background: str
    ratio: float
    scheme: str


def faint(html: str) -> Iterator[Faint]:
    """All text of a mail that is below the ratio, each pair of colours once in each scheme."""
    schemes = {"light": html, "dark": at_night(html)}
    for scheme, seen in schemes.items():
        pairs: set[tuple[str, str]] = set()
        for run in page.read(seen).runs if seen else ():
            measured = ratio(run.color, run.background)
            pair = (run.color, run.background)
            if measured is not None and measured < LEAST_RATIO and pair not in pairs:
                pairs.add(pair)
                yield Faint(" ".join(run.text.split()), *pair, measured, scheme)


def at_night(html: str) -> str:
    """The mail with the styles for a dark scheme applied, or nothing where it has none."""
    bare, sheets = _taken_apart(html)
    rules = "\n".join(inside for sheet in sheets for inside in _dark_rules(sheet))
    if not rules:
        return ""
    night: str = _inliner.inline(bare.replace("</head>", f"<style>{rules}</style></head>", 1))
    return night


def _taken_apart(html: str) -> tuple[str, list[str]]:
    """The mail without its style sheets, and those."""
    kept, sheets, at = [], [], 0
    while found := _STYLE.search(html, at):
        end = _STYLE_END.search(html, found.end())
        if end is None:
            break
        kept.append(html[at : found.start()])
        sheets.append(html[found.end() : end.start()])
        at = end.end()
    return "".join((*kept, html[at:])), sheets


def _dark_rules(sheet: str) -> Iterator[str]:
    at = 0
    while found := _MEDIA.search(sheet, at):
        at = found.end()
        if not _DARK.search(found[1]):
            continue
        depth = 1
        while depth and at < len(sheet):
            depth += {"{": 1, "}": -1}.get(sheet[at], 0)
            at += 1
        if depth == 0:
            yield sheet[found.end() : at - 1]


def ratio(color: str, background: str) -> float | None:
    """WCAG 2's contrast ratio, from 1 to 21; None where a colour is not plain enough to know."""
    one, other = parse(color), parse(background)
    if one is None or other is None:
        return None
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def parse(color: str) -> tuple[int, int, int] | None:
    """`#rgb`, `#rrggbb`, `rgb(…)` or a name; None for all else, such as half-transparent ones."""
    color = _NAMED.get(color.strip().lower(), color.strip().lower())
    if found := re.fullmatch(r"#([0-9a-f])([0-9a-f])([0-9a-f])", color):
        color = "#" + "".join(digit * 2 for digit in found.groups())
    if found := re.fullmatch(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", color):
        red, green, blue = (int(part, 16) for part in found.groups())
        return red, green, blue
    if found := re.fullmatch(r"rgb\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*\)", color):
        red, green, blue = (min(int(part), 255) for part in found.groups())
        return red, green, blue
    return None


def _luminance(color: tuple[int, int, int]) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [part / 255 for part in color]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
