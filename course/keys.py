"""The keys in use, those beside a backup, and whether a backup's content was made with them."""

import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dotenv import dotenv_values
from sqlalchemy import select
from sqlalchemy.orm import Session

from course import dumps, installation
from course.errors import RefusedError
from course.models import Installation, Subscriber
from course.people import email_hash
from course.placing import placed
from course.settings import Settings
from course.tokens import sign, unsign


@dataclass(frozen=True, slots=True)
class Keys:
    """What a backup is worth little without."""

    secret: tuple[str, ...]  # newest first
    hash: str

    @classmethod
    def in_use(cls, settings: Settings) -> "Keys | None":
        if not settings.hash_key or not settings.secret_key:
            return None
        secret = tuple(key.get_secret_value() for key in settings.secret_key)
        return cls(secret, settings.hash_key.get_secret_value())

    @classmethod
    def read(cls, path: Path) -> "Keys | None":
        """Those of such a file; None where there is none, or one of them is missing."""
        found = dotenv_values(path, interpolate=False) if path.is_file() else {}
        secret, hash_key = found.get("SECRET_KEY"), found.get("HASH_KEY")
        if not secret or not hash_key:
            return None
        return cls(tuple(filter(None, map(str.strip, secret.split(",")))), hash_key)

    def write(self, path: Path) -> None:
        with placed(path) as part:
            part.write_text(
                f"SECRET_KEY={_quoted(','.join(self.secret))}\nHASH_KEY={_quoted(self.hash)}\n"
            )


def _quoted(value: str) -> str:
    if re.fullmatch(r"[\w.,+/=-]+", value, re.ASCII):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def keys_of(file: Path) -> Path:
    """Where the keys of a backup lie."""
    return file.with_name(f"{file.name}.keys")


# Do they fit? -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stored:
    """What a backup holds that was made with its keys."""

    fingerprint: str
    email: str | None
    email_hash: str | None


def stored_in(session: Session) -> Stored:
    fingerprint = session.scalars(select(Installation.hash_key_fingerprint)).one()
    person = session.execute(
        select(Subscriber.email, Subscriber.email_hash)
        .where(Subscriber.email.is_not(None))
        .order_by(Subscriber.id.desc())
        .limit(1)
    ).one_or_none()
    return Stored(fingerprint, *(person or (None, None)))


def dumped_in(file: Path) -> Stored:
    here = next(dumps.rows(file, "installation"), None)
    if here is None or here["hash_key_fingerprint"] is None:
        raise RefusedError(f"{file} is no backup of minicourse: it names no installation.")
    people = (row for row in dumps.rows(file, "subscriber") if row["email"] is not None)
    person = next(people, {"email": None, "email_hash": None})
    return Stored(here["hash_key_fingerprint"], person["email"], person["email_hash"])


def for_backup(settings: Settings, file: Path) -> tuple[Keys, Path | None]:
    """The keys in use; where the home has none yet, those of the backup, and where they go."""
    in_use = Keys.in_use(settings)
    if in_use is not None:
        return in_use, None
    found = Keys.read(keys_of(file))
    if found is None:
        raise RefusedError(
            f"The keys of this backup are missing: neither {settings.key_path} nor {keys_of(file)} "
            "is there. Without them nobody knows who may never be mailed again."
        )
    if settings.hash_key or settings.secret_key:
        is_set, missing = ("HASH_KEY", "SECRET_KEY")[:: 1 if settings.hash_key else -1]
        raise RefusedError(
            f"{is_set} is set, but {missing} is not. Set both as in {keys_of(file)}, or neither: "
            "then they are taken from there."
        )
    return found, settings.key_path


def require_fitting(settings: Settings, keys: Keys, stored: Stored, file: Path) -> None:
    """A stored hash must be found again with the keys in use, and a link of the backup's open."""
    kept = Keys.read(keys_of(file))
    wrong = []
    if not fits(keys, stored):
        wrong.append("HASH_KEY")
    if kept is not None and not opens(keys, kept):
        wrong.append("SECRET_KEY")
    if wrong:
        named = " and ".join(wrong)
        verb = "do" if len(wrong) > 1 else "does"
        raise RefusedError(
            f"{named} in use {verb} not fit the backup {file}. "
            f"{_remedy(settings, wrong, kept, stored, keys_of(file))}"
        )


def fits(keys: Keys, stored: Stored) -> bool:
    """Whether the addresses in there were hashed with this key."""
    if installation.fingerprint(keys.hash) != stored.fingerprint:
        return False
    return stored.email is None or email_hash(stored.email, keys.hash) == stored.email_hash


def opens(keys: Keys, kept: Keys) -> bool:
    """Whether a link that was signed with the backup's key is known to the keys in use."""
    then = datetime(2000, 1, 1, tzinfo=UTC)  # no link of this purpose ever expires
    return unsign("backup", sign("backup", 1, then, kept.secret), keys.secret) is not None


def _remedy(
    settings: Settings, wrong: list[str], kept: Keys | None, stored: Stored, file: Path
) -> str:
    if kept is None or not fits(kept, stored):
        return "Bring its own keys, as they were when it was made; they are not in " + str(file)
    where = settings.key_path
    if where is not None and Keys.read(where) == Keys.in_use(settings):
        moved = where.with_name(f"{where.name}.before-restore")
        return (
            f"Those in {file} do. Put them in place with: "
            f"{shlex.join(['mv', str(where), str(moved)])} && "
            f"{shlex.join(['cp', str(file), str(where)])}"
        )
    listed = " and ".join(wrong)
    also = " (SECRET_KEY may list both: new,old)" if "SECRET_KEY" in wrong else ""
    return f"Set {listed} as in {file}{also}, in the environment or {settings.home / '.env'}."
