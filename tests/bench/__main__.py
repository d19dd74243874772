"""`make bench`: measure what the program costs, beside what else one could do."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from course.commands.bars import bar
from course.settings import SOURCE_ROOT, Settings
from tests.bench import crowd, fleet, lists, pipeline, start, web
from tests.bench.figures import Figure
from tests.bench.plan import Plan, Say
from tests.bench.report import Machine, Report

PARTS: dict[str, Callable[[Plan, Path, Say], Iterator[Figure]]] = {
    "pipeline": pipeline.measure,
    "crowd": crowd.measure,
    "web": web.measure,
    "import": lists.measure,
    "start": start.measure,
    "fleet": fleet.measure,
}
_DEFAULT = Plan()


def main() -> None:
    given = options()
    _forget_settings()
    databases = _DEFAULT.databases if given.database == "both" else (given.database,)
    plan = Plan(given.size, given.rounds, databases=databases)
    report = Report(plan, Machine.here(), run(plan, given.only))
    report.print()
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_bytes(report.as_json())
    print(f"Every sample of it: {given.json}", file=sys.stderr)


def run(plan: Plan, parts: Sequence[str] = tuple(PARTS)) -> list[Figure]:
    """Measure these parts; who looks on sees what is measured now, and how long it may take."""
    figures: list[Figure] = []
    with bar("Measuring", len(parts)) as shown:
        for part in shown.each(parts):
            with tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True) as folder:
                figures += PARTS[part](plan, Path(folder), shown.rename)
    return figures


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for, on the command line by default."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--size",
        type=_positive,
        default=_DEFAULT.size,
        help="mails in one run; the crowd is ten times as many (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds",
        type=_positive,
        default=_DEFAULT.rounds,
        help="how often each is measured; the middle one counts (default: %(default)s)",
    )
    parser.add_argument("--database", choices=[*_DEFAULT.databases, "both"], default="both")
    parser.add_argument(
        "--only",
        type=_parts,
        default=tuple(PARTS),
        metavar="PART,…",
        help=f"of {', '.join(PARTS)}",
    )
    parser.add_argument("--json", type=Path, default=SOURCE_ROOT / "build" / "bench.json")
    return parser.parse_args(words)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no part {unknown.pop()!r}; there is: {', '.join(PARTS)}")
    return parts


def _forget_settings() -> None:
    """What is measured must not depend on what this shell is set up to send."""
    for field in Settings.model_fields:
        os.environ.pop(field.upper(), None)


if __name__ == "__main__":
    main()
