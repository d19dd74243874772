"""`minicourse` as a process of its own, and the most memory that it ever had."""

import os
import subprocess
import sys

from course.settings import SOURCE_ROOT
from tests.bench.installed import Installed

# Whoever starts a process passes its own memory on to that process's account, on Linux even over
# an exec: so one that has next to none stands between.
_LAUNCHER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
_RSS_UNITS_PER_MB = 1e6 if sys.platform == "darwin" else 1e6 / 1024


def of(made: Installed, *words: str) -> float:
    """Run `minicourse WORDS` to its end; its peak in MB."""
    home = {"PATH": os.environ["PATH"], "MINICOURSE_HOME": str(made.settings.home)}
    program = str(SOURCE_ROOT / "cli.py")
    command = [sys.executable, "-c", _LAUNCHER, sys.executable, program, *words]
    done = subprocess.run(
        command, env=home | made.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout) / _RSS_UNITS_PER_MB
