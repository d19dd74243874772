"""The house as it was drawn: imports run downward, time is read at the edges, tables fit models."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from course.settings import SOURCE_ROOT

# From the ground up. A module named on no floor is a service.
BASE = {"errors", "settings", "clock", "urls"}
PURE = {
    *(
        "answers",
        "changes",
        "course_file",
        "curriculum",
        "dates",
        "front_matter",
        "fields",
        "formats",
        "ics",
        "bounds",
        "jinja",
        "machines",
        "markdown",
        "merging",
        "nesting",
        "notation",
        "note_file",
        "people",
        "rendering",
    ),
    "samples",
    *("states", "timing", "tokens", "typos", "webhooks", "wording"),
}
ADAPTERS = {"client", "db", "models", "mailer", "mx", "plain_files", "sources", "wire"}
EDGES = {
    "web",
    "sandbox",
    "fleet",
    "commands",
    "preview",
    "processes",
    "demo",
    "doctor",
    "logs",
    "opening",
}
FLOORS = ("base", "pure", "adapter", "service", "edge")

# Libraries that belong to one floor alone.
SPEAKS_HTTP_OR_TO_PEOPLE = {
    *("click", "flask", "waitress", "rich", "schedule", "werkzeug"),
    *("prometheus_client", "structlog"),
}
TOUCHES_THE_WORLD = {"http.client", "sendgrid", "socket", "sqlalchemy", "subprocess", "threading"}

# Edges that read time, and the database's own clock for leases.
CLOCKS = {"course/clock.py", "course/db.py", "course/sandbox/config.py"}

PYTHON = sorted(path.relative_to(SOURCE_ROOT) for path in (SOURCE_ROOT / "course").rglob("*.py"))


def floor(module: str) -> str:
    """Of `course.ROOM` or `course.ROOM.…`; the package itself is on the ground."""
    room = module.split(".")[1] if "." in module else ""
    for name, rooms in {"base": BASE, "pure": PURE, "adapter": ADAPTERS, "edge": EDGES}.items():
        if room in rooms:
            return name
    return "service" if room else "base"


def imports(tree: ast.Module) -> Iterator[str]:
    """Full names of what is imported, anywhere in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def clock_reads(tree: ast.Module) -> Iterator[int]:
    """Lines that ask what time it is. Lengths of time (`time.monotonic`) are no such question."""
    asked = {
        *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "func.now"),
        *("time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.strftime"),
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ".".join(ast.unparse(node).split(".")[-2:]) in asked:
            yield node.lineno


def read(path: Path) -> ast.Module:
    return ast.parse((SOURCE_ROOT / path).read_text())


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def test_imports_run_downward_only() -> None:
    # The command hands over to the metronome at the top of the house.
    assert {str(path): found for path in PYTHON if (found := upward(path))} == {
        "course/commands/processes.py": ["scheduler"]
    }


def upward(path: Path) -> list[str]:
    own = FLOORS.index(floor(module_of(path)))
    return [
        name
        for name in imports(read(path))
        if name.split(".")[0] in ("cli", "scheduler")
        or (name.startswith("course.") and FLOORS.index(floor(name)) > own)
    ]


def test_libraries_stay_on_their_floor() -> None:
    assert {str(path): found for path in PYTHON if (found := strangers(path))} == {}


def strangers(path: Path) -> list[str]:
    here = floor(module_of(path))
    refused = set() if here == "edge" else SPEAKS_HTTP_OR_TO_PEOPLE
    refused = refused | TOUCHES_THE_WORLD if here == "pure" else refused
    return [
        name
        for name in imports(read(path))
        if any(name == library or name.startswith(f"{library}.") for library in refused)
    ]


def test_the_stand_in_knows_nothing_of_what_it_stands_against() -> None:
    """What it accepts must not follow from what we send."""
    known = {
        name.split(".")[1]
        for path in PYTHON
        if path.parts[1] == "sandbox"
        for name in imports(read(path))
        if name.startswith("course.")
    }
    assert known == {"sandbox", "errors", "urls"}


def test_time_is_read_at_the_edges_alone() -> None:
    found = {path.as_posix(): list(clock_reads(read(path))) for path in PYTHON}
    assert {path for path, lines in found.items() if lines} == CLOCKS, found


@pytest.mark.parametrize(
    ("line", "floors"),
    [
        ("from course import db", ["adapter"]),
        ("from course.web.app import create_app", ["edge"]),
        ("import course.timing", ["pure"]),
        ("def late():\n    from course.settings import Settings", ["base"]),
        ("from course import a_new_room", ["service"]),
    ],
)
def test_the_floor_of_an_import_is_seen(line: str, floors: list[str]) -> None:
    assert [floor(name) for name in imports(ast.parse(line))] == floors


@pytest.mark.parametrize(
    ("line", "reads"),
    [
        ("datetime.now(UTC)", True),
        ("dt.datetime.now()", True),
        ("field(default_factory=datetime.utcnow)", True),
        ("time.time()", True),
        ("select(func.now())", True),
        ("clock.now()", False),
        ("time.monotonic()", False),
    ],
)
def test_a_read_of_the_clock_is_seen(line: str, reads: bool) -> None:
    assert bool(list(clock_reads(ast.parse(line)))) == reads


def test_the_migrations_do_not_shadow_the_library() -> None:
    """A package `alembic` in the working directory would be imported in its place."""
    assert not (SOURCE_ROOT / "alembic" / "__init__.py").exists()
    found = importlib.util.find_spec("alembic")
    assert found
    assert found.origin
    assert SOURCE_ROOT / "alembic" not in Path(found.origin).parents
