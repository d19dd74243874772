"""The licence of each package in requirements.lock, as `docs/licences.md` lists them.

python -m tests.licences > docs/licences.md
"""

import re
import sys
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata

from course.settings import SOURCE_ROOT

LOCK, LIST = SOURCE_ROOT / "requirements.lock", SOURCE_ROOT / "docs/licences.md"
# Of one that names none in its metadata, but brings the text.
_SAID = {"axe-playwright-python": "MIT; MPL-2.0 for the axe-core inside"}
_HEAD = """# Licences

What `requirements.lock` brings, and under which licence, as each package says of
itself. Printed by `python -m tests.licences`; a test holds it to the lock.

| Package | Licence |
|---|---|
"""


def locked() -> list[str]:
    """The packages' names; those for other systems and Pythons, too."""
    return sorted(re.findall(r"^([a-z0-9.-]+)==", LOCK.read_text(), re.MULTILINE))


def licence(name: str) -> str:
    if name in _SAID:
        return _SAID[name]
    try:
        found = metadata(name)
    except PackageNotFoundError:
        return "for another system or Python"
    return _short(found)


def _short(found: PackageMetadata) -> str:
    classified = [
        line.rpartition(" :: ")[2]
        for line in found.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    said = (found.get("License") or "").strip().partition("\n")[0][:60]
    return found.get("License-Expression") or ", ".join(classified) or said or "not said"


def listed() -> list[str]:
    return re.findall(r"^\| ([a-z0-9.-]+) \|", LIST.read_text(), re.MULTILINE)


if __name__ == "__main__":
    sys.stdout.write(_HEAD + "".join(f"| {name} | {licence(name)} |\n" for name in locked()))
