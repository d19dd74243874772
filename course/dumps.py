"""PostgreSQL's own programs: `pg_dump` writes a backup, `pg_restore` reads one. The password goes
by their environment: what stands in a command line can be read by everybody on the machine."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import URL, make_url

from course.errors import RefusedError

MAGIC = b"PGDMP"


def dump(url: str, file: Path) -> None:
    """The whole database, from one snapshot."""
    _run("pg_dump", ["--format=custom", f"--file={file}"], url)


def load(url: str, file: Path) -> None:
    """Into an empty database, in one transaction: all of it, or nothing."""
    options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    _run("pg_restore", options, url, [str(file)])


def rows(file: Path, table: str) -> Iterator[dict[str, str | None]]:
    """What a dump holds of a table, without a server: for a look before it is put back."""
    words = ["--data-only", f"--table={table}", "--file=-", str(file)]
    found = _call(_program("pg_restore", words), words)
    columns: list[str] | None = None
    for line in found.splitlines():
        if columns is None:
            if line.startswith("COPY "):
                columns = [name.strip(' "') for name in _between(line, "(", ")").split(",")]
        elif line == r"\.":
            return
        else:
            yield dict(zip(columns, map(_value, line.split("\t")), strict=True))


def _between(text: str, first: str, last: str) -> str:
    return text.partition(first)[2].rpartition(last)[0]


def _value(text: str) -> str | None:
    """A field of COPY's text form; what we look at needs no escapes."""
    return None if text == r"\N" else text


def _run(name: str, options: Sequence[str], url: str, files: Sequence[str] = ()) -> None:
    parts = make_url(url)
    words = [*options, f"--dbname={_address(parts)}", *files]
    environment = dict(os.environ)
    if password := _password(parts):
        environment["PGPASSWORD"] = password
    _call(_program(name, words), words, environment)


def _address(url: URL) -> str:
    """The URL as PostgreSQL's programs take it, without the password."""
    bare = url.set(drivername="postgresql").difference_update_query(["password"])
    return URL.create(
        bare.drivername,
        bare.username,
        host=bare.host,
        port=bare.port,
        database=bare.database,
        query=bare.query,
    ).render_as_string(hide_password=False)


def _password(url: URL) -> str | None:
    found = url.password or url.query.get("password")
    return found if isinstance(found, str) else None


def _program(name: str, words: Sequence[str]) -> str:
    found = shutil.which(name)
    if found is None:
        raise RefusedError(
            f"{name} is not installed here: it comes with PostgreSQL's client programs. Install "
            f"them (Debian: apt install postgresql-client), or run where it is: "
            f"{shlex.join([name, *words])}"
        )
    return found


def _call(program: str, words: Sequence[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [program, *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        raise RefusedError(f"{Path(program).name} could not do it: {reason}")
    return done.stdout
