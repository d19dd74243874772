"""Links in a mail's HTML: found in the stored text, rewritten for looking at it."""

import re
from collections.abc import Callable, Iterator
from html import escape
from html.parser import HTMLParser
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import urlsplit

from werkzeug.urls import iri_to_uri

WEB = ("http", "https")
HARMLESS = (*WEB, "mailto", "tel")
OWN_ATTRIBUTES = ("href", "target", "rel", "ping", "clicktracking")


class Link(NamedTuple):
    """One `<a>` or `<area>` tag with an address, and where it stands in the HTML."""

    start: int
    end: int
    tag: str
    attributes: dict[str, str | None]
    target: str | None  # a complete URL that is safe to follow, else None
    is_trackable: bool  # leads to the web, and did not opt out by clicktracking="off"


def links(html: str) -> list[Link]:
    """All links in order; their place in this list is their number."""
    return list(_Finder().find(html))


def shown(html: str, click_url: Callable[[int], str] | None) -> str:
    """The HTML with links that open in a new tab, through `click_url(number)` where tracked.

    Everything else stays as it is, to the byte: what is shown is what was sent.
    """
    parts, position = [], 0
    for number, link in enumerate(links(html)):
        is_tracked = click_url and link.is_trackable
        address = click_url(number) if click_url and is_tracked else link.target
        parts += [html[position : link.start], _opening_tag(link, address)]
        position = link.end
    return "".join([*parts, html[position:]])


def _opening_tag(link: Link, address: str | None) -> str:
    kept = {name: v for name, v in link.attributes.items() if name not in OWN_ATTRIBUTES}
    if address:
        kept |= {"href": address, "target": "_blank", "rel": "noopener noreferrer"}
    written = (f' {name}="{escape(value or "")}"' for name, value in kept.items())
    return f"<{link.tag}{''.join(written)}>"


def _safe_target(href: str) -> str | None:
    """The address as a URI, unless it would run a script or is no complete URL."""
    cleaned = re.sub(r"[\x00-\x1f\x7f]", "", href).strip()
    try:
        if urlsplit(cleaned).scheme in HARMLESS:
            return iri_to_uri(cleaned)
    except ValueError:
        pass
    return None


class _Finder(HTMLParser):
    """Collects links with their offsets; convert_charrefs only concerns text, not attributes."""

    def find(self, html: str) -> Iterator[Link]:
        self._found: list[Link] = []
        self._line_starts = [0, *accumulate(len(line) + 1 for line in html.split("\n"))]
        try:
            self.feed(html)
            self.close()
        except AssertionError:
            pass  # a malformed `<![`: what stands behind it is shown as it is
        return iter(self._found)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(reversed(attrs))  # of a doubled attribute browsers take the first
        if tag not in ("a", "area") or not attributes.get("href"):
            return
        line, column = self.getpos()
        start = self._line_starts[line - 1] + column
        target = _safe_target(attributes["href"] or "")
        is_web = target is not None and urlsplit(target).scheme in WEB
        opted_out = (attributes.get("clicktracking") or "").lower() == "off"
        end = start + len(self.get_starttag_text() or "")
        self._found.append(Link(start, end, tag, attributes, target, is_web and not opted_out))
