"""`minicourse service`: what keeps it running, written for this machine."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from course.commands.context import say
from course.errors import RefusedError
from course.settings import SOURCE_ROOT, Settings, is_loopback

FOLDER = SOURCE_ROOT / "deploy" / "single"
FILES = {
    "systemd": "minicourse.service",
    "caddy": "Caddyfile",
    "cron": "crontab",
    "backup": "minicourse-backup.service",
    "backup-timer": "minicourse-backup.timer",
}
# Characters that mean nothing but themselves to systemd, to cron and to a shell.
_PLAIN = re.compile(r"[\w./@:+-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where minicourse runs; the values of the files as they lie in deploy/single."""

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
    commands that put it there.

    \b
    Examples:
      minicourse service print systemd
      minicourse service print cron
      minicourse service print backup
      minicourse service print backup-timer

    Once PUBLIC_URL is set: minicourse service print caddy
    """
    settings = Settings.load()
    if kind == "caddy":
        _require_domain(settings)
    click.echo(written(FILES[kind], place_of(settings)), nl=False)


def written(name: str, place: Place) -> str:
    """That file of deploy/single, with the values of this place in the place of its own."""
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


def _homes(home: Path) -> str:
    """Hidden, unless the program or its Python lies there."""
    used = [path.resolve() for path in (home, SOURCE_ROOT, Path(sys.executable), Path(sys.prefix))]
    hidden = ("/home", "/root", "/run/user")
    return "read-only" if any(one.is_relative_to(at) for one in used for at in hidden) else "true"
