"""Markdown to HTML, and to the plain text that a person would have typed."""

import re
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

WIDTH = 72
_markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def to_html(text: str) -> str:
    rendered: str = _markdown.render(text)
    return rendered


def to_text(text: str) -> str:
    """Readable plain text: wrapped at 72 columns, links written out, tables aligned."""
    return "\n\n".join(_blocks(_Tokens(_markdown.parse(text)), WIDTH)).strip()


class _Tokens:
    """The token stream with a finger on the next one."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def until(self, closing: str) -> Iterator[Token]:
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.at += 1
            if token.type == closing:
                return
            yield token


def _blocks(tokens: _Tokens, width: int, closing: str = "") -> list[str]:
    found = [_block(token, tokens, width) for token in tokens.until(closing)]
    return [block for block in found if block]


def _block(token: Token, tokens: _Tokens, width: int) -> str:
    match token.type:
        case "inline":
            return _wrap(_inline(token), width)
        case "heading_open":
            title = "".join(_inline(inner) for inner in tokens.until("heading_close"))
            line = "=" if token.tag == "h1" else "-"
            return f"{title}\n{line * min(_columns(title), width)}"
        case "blockquote_open":
            return _quote("\n\n".join(_blocks(tokens, width - 2, "blockquote_close")))
        case "bullet_list_open":
            return _list(tokens, width, "bullet_list_close", None)
        case "ordered_list_open":
            return _list(tokens, width, "ordered_list_close", int(token.attrGet("start") or 1))
        case "fence" | "code_block":
            return textwrap.indent(token.content.rstrip("\n"), "    ")
        case "table_open":
            return _table(tokens)
        case "hr":
            return "* * *"
        case "html_block":
            return _wrap(re.sub(r"<[^<>]*>", " ", token.content), width)
        case _:
            return ""


def _list(tokens: _Tokens, width: int, closing: str, number: int | None) -> str:
    items = []
    loose = False
    for token in tokens.until(closing):
        if token.type != "list_item_open":
            continue
        mark = "- " if number is None else f"{number}. "
        number = None if number is None else number + 1
        blocks = _blocks(tokens, width - len(mark), "list_item_close")
        loose = loose or len(blocks) > 1
        body = "\n\n".join(blocks)
        items.append(mark + textwrap.indent(body, " " * len(mark))[len(mark) :])
    return ("\n\n" if loose else "\n").join(items)


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _table(tokens: _Tokens) -> str:
    rows: list[list[str]] = []
    for token in tokens.until("table_close"):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_inline(token).replace("\n", " "))
    widths = [max(_columns(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(map(_pad, row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - _columns(cell))


def _columns(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide


def _inline(token: Token) -> str:
    pieces: list[str] = []
    links: list[tuple[int, str]] = []
    for child in token.children or []:
        match child.type:
            case "text":
                pieces.append(child.content)
            case "code_inline":
                pieces.append(f"`{child.content}`")
            case "softbreak":
                pieces.append(" ")
            case "hardbreak":
                pieces.append("\n")
            case "em_open" | "em_close":
                pieces.append("_")
            case "strong_open" | "strong_close":
                pieces.append("*")
            case "link_open":
                links.append((len(pieces), str(child.attrGet("href") or "")))
            case "link_close":
                pieces.append(_written_out(pieces, *links.pop()))
            case "image":
                pieces.append(child.content)
            case "html_inline" if child.content.lower().startswith("<br"):
                pieces.append("\n")
            case _:
                pass
    return "".join(pieces)


def _written_out(pieces: list[str], start: int, target: str) -> str:
    label = "".join(pieces[start:])
    address = target.removeprefix("mailto:")
    return "" if address in (label, label.strip()) else f" ({address})"


def _wrap(text: str, width: int) -> str:
    """Wrap each line of its own; a word (an address above all) is never broken."""
    lines = (
        textwrap.fill(
            " ".join(line.split()), max(width, 20), break_long_words=False, break_on_hyphens=False
        )
        for line in text.splitlines()
    )
    return "\n".join(lines).strip()
