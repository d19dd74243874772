"""How long a person waits for the command line to answer at all."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from course.settings import SOURCE_ROOT
from tests.bench.figures import Figure, Rival
from tests.bench.plan import Plan, Say

_RUNS_A_ROUND = 5


def measure(plan: Plan, folder: Path, say: Say) -> Iterator[Figure]:
    say("minicourse --help, over and over")
    command = Path(sys.executable).with_name("minicourse")
    words = [command] if command.exists() else [sys.executable, SOURCE_ROOT / "cli.py"]
    own, bare = [], []
    for _ in range(_RUNS_A_ROUND * plan.rounds):
        own.append(_milliseconds(*words, "--help"))
        bare.append(_milliseconds(sys.executable, "-c", "pass"))
    yield Figure(
        *("start", "minicourse --help", "ms", own),
        rival=Rival("python", bare),
        goal="≤ 150 ms",
    )


def _milliseconds(*words: str | Path) -> float:
    began = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000
