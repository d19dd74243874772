"""A rendered mail as a reader's program takes it in: links, pictures, and text with its colours."""

from collections import Counter
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import NamedTuple

_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_UNSEEN = frozenset({"head", "script", "style", "title", "template"})
_LINK_BLUE = "#0000ee"  # what a link has where no style says otherwise


class Image(NamedTuple):
    """A picture; `alt` is None where it has none."""

    address: str
    alt: str | None


class Run(NamedTuple):
    """A piece of visible text and the colours it is set in, as CSS writes them."""

    text: str
    color: str
    background: str
    is_code: bool


@dataclass(frozen=True, slots=True)
class _Look:
    """What an element hands down to those in it."""

    tag: str = ""
    color: str = "#000000"
    background: str = "#ffffff"
    is_hidden: bool = False
    is_code: bool = False


@dataclass
class Page:
    """What was found in a mail's HTML, in its order."""

    links: list[str] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(" ".join(run.text for run in self.runs).split())


def read(html: str) -> Page:
    """Read HTML whose styles are inlined."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self.open = [_Look()]
        self.still_open: Counter[str] = Counter()  # how many of each

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in reversed(attrs)}
        if tag in ("a", "area") and "href" in found:
            self.page.links.append(found["href"].strip())
        if tag == "img":
            self.page.images.append(Image(found.get("src", "").strip(), found.get("alt")))
        if tag not in _VOID:
            self.open.append(_look(tag, found, self.open[-1]))
            self.still_open[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        while self.still_open[tag]:
            closed = self.open.pop().tag
            self.still_open[closed] -= 1
            if closed == tag:
                break

    def handle_data(self, data: str) -> None:
        look = self.open[-1]
        if data.strip() and not look.is_hidden:
            self.page.runs.append(Run(data, look.color, look.background, look.is_code))


def _look(tag: str, attributes: dict[str, str], around: _Look) -> _Look:
    style = declarations(attributes.get("style", ""))
    color = style.get("color") or attributes.get("color") or ""
    if not color and tag == "a" and "href" in attributes:
        color = _LINK_BLUE
    look = replace(
        around,
        tag=tag,
        background=background(style) or attributes.get("bgcolor") or around.background,
        is_hidden=around.is_hidden or tag in _UNSEEN or _hides(style),
        is_code=around.is_code or tag in ("code", "pre"),
    )
    return replace(look, color=color) if color not in ("", "inherit", "currentcolor") else look


def declarations(style: str) -> dict[str, str]:
    """A style attribute's properties; of two the later holds, but what is important stays."""
    found: dict[str, str] = {}
    important: set[str] = set()
    for part in style.split(";"):
        name, _, value = part.partition(":")
        plain = value.partition("!")[0].strip().lower()  # such as `!important`
        name = name.strip().lower()
        if "!" not in value and name in important:
            continue
        found.pop(name, None)
        found[name] = plain
        if "!" in value:
            important.add(name)
    return found


def background(style: dict[str, str]) -> str:
    """The ground that these properties paint, or nothing."""
    value = ""
    for name in style:
        if name in ("background", "background-color"):
            value = style[name]
    return "" if value in ("none", "transparent", "inherit", "initial") else value


def _hides(style: dict[str, str]) -> bool:
    return style.get("display") == "none" or style.get("font-size") in ("0", "0px")
