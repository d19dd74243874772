"""`minicourse service`: what keeps it running, written for this machine."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from course.commands.context import say
from course.errors import RefusedError
from course.settings import SOURCE_ROOT, Settings
from course.urls import is_loopback

FOLDER = SOURCE_ROOT / "deploy"
FILES = {
    "systemd": "single/minicourse.service",
    "caddy": "single/Caddyfile",
    "cron": "single/crontab",
    "backup": "single/minicourse-backup.service",
    "backup-timer": "single/minicourse-backup.timer",
    "web": "fleet/minicourse-web.service",
    "scheduler": "fleet/minicourse-scheduler.service",
    "worker": "fleet/minicourse-worker.service",
}
# Characters that mean nothing but themselves to systemd, to cron and to a shell.
_PLAIN = re.compile(r"[\w./@:+-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where minicourse runs; the values of the files as they lie in deploy/."""

    command: str = "/srv/minicourse/.venv/bin/minicourse"
    home: str = "/srv/minicourse"
    writable: str = "/srv/minicourse"
    user: str = "minicourse"
    domain: str = "course.example.com"
    homes: str = "true"  # of ProtectHome: what of /home and the like can be seen

    @property
    def words(self) -> dict[str, str]:
        """What stands for each value in a file; a longer one is looked for before its part."""
        return {
            "ReadWritePaths=/srv/minicourse": f"ReadWritePaths={self.writable}",
            "/srv/minicourse/.venv/bin/minicourse": self.command,
            "/srv/minicourse": self.home,
            "User=minicourse": f"User={self.user}",
            "the user minicourse": f"the user {self.user}",
            "course.example.com": self.domain,
            "ProtectHome=true": f"ProtectHome={self.homes}",
        }


@click.group()
def service() -> None:
    """What keeps it running: files for systemd, Caddy, cron.

    \b
    Example:
      minicourse service print systemd
    """


@service.command("print")
@click.argument("kind", type=click.Choice(list(FILES)))
def print_(kind: str) -> None:
    """Print a file with the paths, the user and the domain of this installation.

    It changes nothing. Where the file belongs stands at its top; docs/going-live.md has the
    commands that put it there. web, scheduler and worker are units for the machines of a fleet;
    systemd has all that one machine needs.

    \b
    Examples:
      minicourse service print systemd
      minicourse service print cron
      minicourse service print backup
      minicourse service print backup-timer

    Once PUBLIC_URL is set: minicourse service print caddy

    Once PostgreSQL is: minicourse service print worker
    """
    settings = Settings.load()
    if kind == "caddy":
        _require_domain(settings)
    if FILES[kind].startswith("fleet/"):
        _require_server(settings)
    if kind == "worker":
        _require_broker(settings)
    click.echo(written(FILES[kind], place_of(settings)), nl=False)


def written(name: str, place: Place) -> str:
    """That file of deploy/, with the values of this place in the place of its own."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    return re.sub("|".join(map(re.escape, place.words)), lambda found: place.words[found[0]], text)


def place_of(settings: Settings) -> Place:
    home, command = str(settings.home), str(Path(sys.prefix) / "bin" / "minicourse")
    folder = settings.database_path.parent if settings.database_path else settings.home
    writable = [home] if folder.is_relative_to(home) else [home, str(folder)]
    for path in (command, *writable):
        _require_plain(path)
    return Place(
        command=command,
        home=home,
        writable=" ".join(writable),
        user=_owner(settings.home),
        domain=urlsplit(settings.public_url).netloc,
        homes=_homes(settings.home),
    )


def _require_plain(path: str) -> None:
    if not _PLAIN.fullmatch(path):
        raise RefusedError(
            f"{path!r} has a character with a meaning of its own to systemd and cron. Move it to a "
            "path of letters, digits, . _ and -"
        )


def _owner(home: Path) -> str:
    """Who has the home is who must run it; root would be far more than it needs."""
    try:
        name = home.owner()
    except KeyError:  # without a name, as in a container
        name = str(home.stat().st_uid)
    if name == "root":
        say(f"{home} belongs to root, so it would run as root: better give it a user of its own.")
    return name


def _require_domain(settings: Settings) -> None:
    if is_loopback(settings.public_url):
        raise RefusedError(
            f"PUBLIC_URL is {settings.public_url}: Caddy needs the name of your server. Set it in "
            f"{settings.home / '.env'}, like PUBLIC_URL=https://course.example.com"
        )


def _require_server(settings: Settings) -> None:
    """A fleet's units may write nowhere: all that they keep is in PostgreSQL."""
    if settings.database_path is not None:
        raise RefusedError(
            f"{settings.database_path} is an embedded database, which one machine runs whole: "
            "minicourse service print systemd. For a fleet move it first: minicourse db copy"
        )


def _require_broker(settings: Settings) -> None:
    if settings.broker_url is None:
        raise RefusedError(
            "BROKER_URL is not set, so a worker would hear nothing. Set it in "
            f"{settings.home / '.env'}, like BROKER_URL=redis://127.0.0.1:6379/0"
        )


def _homes(home: Path) -> str:
    """Hidden, unless the program or its Python lies there."""
    used = [path.resolve() for path in (home, SOURCE_ROOT, Path(sys.executable), Path(sys.prefix))]
    hidden = ("/home", "/root", "/run/user")
    return "read-only" if any(one.is_relative_to(at) for one in used for at in hidden) else "true"
