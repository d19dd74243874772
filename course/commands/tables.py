"""Tables that fit: no number and no name is ever cut or broken. Where columns find no room side by
side, first the bars go, and then each row is told in lines of its own."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

# A longer word may be broken where its column is not whole: long addresses in a list.
_LONG = 16
_BETWEEN = 2  # blanks

Row = Sequence[Text]


def laid_out(columns: Sequence[tuple[str, str]], rows: Sequence[Row], width: int) -> RenderableType:
    """Columns are names, each with what it holds: "right" for numbers, "whole" for what is not to
    be broken, "bar" for what only pictures a number that is there anyway."""
    if _least(columns, rows, width) <= width:
        return _side_by_side(columns, rows)
    kept = [place for place, (_, how) in enumerate(columns) if how != "bar"]
    columns = [columns[place] for place in kept]
    rows = [[row[place] for place in kept] for row in rows]
    if _least(columns, rows, width) <= width:
        return _side_by_side(columns, rows)
    return _in_lines(columns, rows)


def _least(columns: Sequence[tuple[str, str]], rows: Sequence[Row], width: int) -> int:
    """How wide it is at its narrowest."""
    measures = Console(width=width)
    found = 0
    for place, (name, how) in enumerate(columns):
        cells = [Text(name), *(row[place] for row in rows)]
        needs = [Measurement.get(measures, measures.options, cell) for cell in cells]
        if how:
            found += max(one.maximum for one in needs)
        else:
            found += min(max(one.minimum for one in needs), _LONG)
    return found + _BETWEEN * (len(columns) - 1)


def _side_by_side(columns: Sequence[tuple[str, str]], rows: Sequence[Row]) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0))
    for name, how in columns:
        table.add_column(
            name,
            justify="right" if how == "right" else "left",
            no_wrap=bool(how),
            overflow="fold",
        )
    for row in rows:
        table.add_row(*row)
    return table


def _in_lines(columns: Sequence[tuple[str, str]], rows: Sequence[Row]) -> Group:
    """Each row under what its first column says, a line for each other one."""
    labels = [_in_a_line(name) for name, _ in columns]
    shown: list[RenderableType] = []
    for row in rows:
        if shown:
            shown.append("")
        shown.append(Text(f"{labels[0]} {_in_a_line(row[0].plain)}".strip(), style="bold"))
        facts: list[tuple[str, Text]] = []
        for label, cell in zip(labels[1:], row[1:], strict=True):
            if label or not facts:
                facts.append((label, cell))
            elif cell.plain.strip():  # a share: it has no name, and belongs to what stands before
                facts[-1] = facts[-1][0], Text("  ").join([facts[-1][1], cell])
        grid = Table.grid(padding=(0, _BETWEEN, 0, 0))
        grid.add_column(no_wrap=True, min_width=max(map(len, labels[1:]), default=0) + _BETWEEN)
        grid.add_column(overflow="fold")
        for label, cell in facts:
            grid.add_row(f"  {label}", cell)
        shown.append(grid)
    return Group(*shown)


def _in_a_line(name: str) -> str:
    """Without the breaks that a narrow column asks for."""
    for narrow, wide in (("-\n", ""), ("/\n", "/"), ("\n@", "@"), ("\n", " ")):
        name = name.replace(narrow, wide)
    return name
