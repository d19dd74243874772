"""The processes `web`, `scheduler`, `worker`, `sandbox`, each in the foreground until Ctrl-C."""

import os
from pathlib import Path

import click

from course import installation, logs
from course.commands import context
from course.commands.context import say
from course.errors import ModeError
from course.logs import SHOW_PII
from course.processes import ports
from course.settings import SANDBOX_HOST, Settings
from course.urls import is_loopback

WEB_PORT = 8000
PORT = click.IntRange(1, 65535)

# For `up`, which has said it all.
announced_option = click.option("--announced", is_flag=True, hidden=True)


def _show_people(_context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        os.environ[SHOW_PII] = "1"


pii_option = click.option(
    "--show-pii",
    is_flag=True,
    expose_value=False,
    callback=_show_people,
    help="Log addresses as they are, not as hashes.",
)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=PORT, help="Default: that of PUBLIC_URL on this machine, else 8000.")
@announced_option
@pii_option
def web(host: str, port: int | None, announced: bool) -> None:
    """Serve the pages and the webhook.

    \b
    Examples:
      minicourse web
      minicourse web --host 0.0.0.0 --port 8080
    """
    here = context.load()
    here.database.dispose()  # checked; the server opens its own
    port = port or web_port(here.settings)
    ports.require_free(host, port, "Choose another: minicourse web --port PORT")
    logs.set_up("web", here.settings)
    if not announced:
        announce_web(here.settings, host, port)
        context.announce_mode(here.settings)

    from course.processes.serving import serve_web

    serve_web(host, port)


@click.command()
@announced_option
@pii_option
def scheduler(announced: bool) -> None:
    """Release lessons when they are due, until Ctrl-C. Any number may run at once.

    \b
    Example:
      minicourse scheduler
    """
    import scheduler as metronome

    metronome.main(announced=announced)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("flags", nargs=-1, type=click.UNPROCESSED, metavar="[CELERY'S FLAGS]...")
def worker(flags: tuple[str, ...]) -> None:
    """Send what schedulers hint at, until Ctrl-C; one of a fleet.

    It needs BROKER_URL, and PostgreSQL. Any number may run at once. Underneath is
    Celery's own worker, which takes its usual flags; `minicourse worker -- --help`
    shows them.

    \b
    Examples:
      minicourse worker
      minicourse worker --concurrency 4 --loglevel info
    """
    from course import fleet

    fleet.run_worker(flags)


@click.command()
@click.option(
    "--port", type=PORT, help="Default: that of SENDGRID_HOST on this machine, else 8025."
)
@announced_option
@pii_option
def sandbox(port: int | None, announced: bool) -> None:
    """A stand-in for SendGrid: takes mail, shows it in an inbox, sends nothing.

    \b
    Example:
      minicourse sandbox
    """
    here = context.load()
    port = port or sandbox_port(here.settings)
    with here.raw_database.reading() as session:
        if not installation.is_sandbox(session):
            raise ModeError(
                "This database is live and takes no events from a sandbox. "
                "Work on another one: MINICOURSE_HOME=/another/folder minicourse init"
            )
        private_key = installation.get(session).sandbox_private_key
    here.raw_database.dispose()
    ports.require_free("127.0.0.1", port, "Choose another: minicourse sandbox --port PORT")
    os.environ.setdefault("MINICOURSE_SANDBOX_STORE", str(_store(here.settings)))
    os.environ.setdefault("MINICOURSE_SANDBOX_WEBHOOK_URL", webhook(web_port(here.settings)))
    os.environ["MINICOURSE_SANDBOX_PRIVATE_KEY"] = private_key
    logs.set_up("sandbox", here.settings)
    if not announced:
        say(f"Inbox: http://127.0.0.1:{port} (nothing leaves this machine)")

    from course.processes.serving import serve_sandbox

    serve_sandbox("127.0.0.1", port)


def web_port(settings: Settings) -> int:
    """On this machine PUBLIC_URL says where pages are; in front of a name stands a proxy."""
    local = is_loopback(settings.public_url)
    return ports.address_of(settings.public_url)[1] if local else WEB_PORT


def sandbox_port(settings: Settings) -> int:
    host = settings.mail_host if settings.sandboxed else SANDBOX_HOST
    return ports.address_of(host)[1]


def announce_web(settings: Settings, host: str, port: int) -> None:
    say(f"Pages: {ports.url(host, port)}")
    if is_loopback(settings.public_url) and port != web_port(settings):
        say(f"Links in mails lead to {settings.public_url}: set PUBLIC_URL to change that.")


def webhook(port: int) -> str:
    """Where the pages of this machine take events."""
    return f"http://127.0.0.1:{port}/webhooks/sendgrid"


def _store(settings: Settings) -> Path:
    """Beside the embedded database, or in the home."""
    path = settings.database_path or settings.home / "minicourse.db"
    return path.with_suffix(".sandbox.db")
