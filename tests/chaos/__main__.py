"""`make chaos`: the battle on each database, and a table of what came of it."""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.chaos.battle import Plan, Result, fight
from tests.chaos.databases import KINDS
from tests.wrong import WRONG

_SHOWN = 20
# Who says at the end what becomes of unknown mails: a person, or the policy.
DECIDES = {"sqlite": "resolve", "postgresql": "auto", "fleet": "auto"}
# How many schedulers and workers, and how long they have to come to breath between two blows.
CREWS = {"sqlite": (4, 0, 1.0), "postgresql": (4, 0, 1.0), "fleet": (2, 4, 2.0)}


def main() -> None:
    options = _parser().parse_args()
    kinds = list(KINDS) if options.database == "all" else [options.database]
    results = []
    for kind in kinds:
        schedulers, workers, breath = CREWS[kind]
        plan = Plan(
            kind,
            options.size,
            options.seconds,
            options.kills,
            options.seed,
            unknown=options.unknown or DECIDES[kind],
            wrong_ledger=options.wrong,
            schedulers=schedulers,
            workers=workers,
            breath=breath,
        )
        print(f"{kind}: {plan.learners:,} learners, seed {plan.seed}", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="chaos") as folder:
            results.append(fight(plan, Path(folder), lambda line: print(line, file=sys.stderr)))
    _print(results)
    for breach in [breach for result in results for breach in result.breaches][:_SHOWN]:
        print(breach)
    sys.exit(any(result.breaches for result in results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--database", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--size", type=int, default=3500, help="learners, seven lessons each")
    parser.add_argument("--seconds", type=float, default=150, help="of faults, at most")
    parser.add_argument("--kills", type=int, default=30, help="at least; then the faults stop")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--unknown", choices=["resolve", "auto"], help="by default one on each")
    parser.add_argument("--wrong", choices=WRONG, help="a ledger that is wrong on purpose")
    return parser


def _print(results: list[Result]) -> None:
    rows: list[tuple[str, list[str]]] = [
        ("database", [result.plan.database for result in results]),
        ("seed", [str(result.plan.seed) for result in results]),
        ("what is unknown is decided by", [result.plan.unknown for result in results]),
        *(
            (words, [f"{getattr(result, name):,}" for result in results])
            for words, name in _FIGURES.items()
        ),
        ("seconds", [f"{result.seconds:.0f}" for result in results]),
    ]
    for words, figures in rows:
        print(f"{words:<42}", *(f"{figure:>12}" for figure in figures))


_FIGURES = {
    "learners": "learners",
    "of these left on the way": "left",
    "rows in the ledger": "rows",
    "requests that were taken": "requests",
    "processes killed (SIGKILL)": "killed",
    "processes asleep past their lease": "slept",
    "immediate restarts of the database": "restarted",
    "times the broker was wiped": "wiped",
    "times the broker was killed": "broken",
    "processes that found no database": "fallen",
    "holds of the brake, released": "released",
    "accepted twice": "accepted_twice",
    "lost": "lost",
    "unknown before events": "unknown_before",
    "unknown after events": "unknown_after",
    "of these taken by the provider": "unknown_taken",
    "unknown at last": "unknown_resolved",
    "accepted": "accepted",
    "failed (addresses that are refused)": "failed",
    "cancelled (they had left)": "cancelled",
}


if __name__ == "__main__":
    main()
