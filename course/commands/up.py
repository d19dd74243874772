"""`minicourse up`: everything on this machine, in one terminal."""

import os
from functools import partial

import click

from course import logs
from course.clock import Clock
from course.commands import context
from course.commands.processes import PORT, pii_option, sandbox_port, web_port, webhook
from course.commands.setup import make_ready, tell
from course.db import shown
from course.errors import RefusedError
from course.processes import ports
from course.processes.alone import alone_in
from course.processes.children import Children, wait_for
from course.processes.notifying import ALIVE, READY, STOPPING, notify
from course.processes.stopping import SignalledStop
from course.settings import Settings
from course.urls import is_loopback

_LOOK_SECONDS = 0.5


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the pages listen.")
@click.option("--port", type=PORT, help="Default: that of PUBLIC_URL on this machine, else 8000.")
@pii_option
def up(host: str, port: int | None) -> None:
    """Run web and scheduler, and the sandbox where there is no key, until Ctrl-C.

    A first start makes the database and publishes the courses found, as `init` does.

    \b
    Example:
      minicourse up
    """
    settings = Settings.load()
    with alone_in(settings.home):
        _run(settings, host, port or web_port(settings))


def _run(settings: Settings, host: str, port: int) -> None:
    _require_free(settings, host, port)
    logs.set_up("up", settings)
    if settings.database_path is not None:
        settings, made = make_ready(settings, Clock(settings.clock_file).now())
        logs.set_up("up", settings)  # with the keys that were made
        tell(settings, made)
    context.load().database.dispose()  # checked once here, in place of once in each child
    _announce(settings)
    stop = SignalledStop()
    with Children(_environment(settings, port)) as children:
        _start(children, settings, host, port, stop)
        notify(READY)
        while not stop.wait(_LOOK_SECONDS):
            if child := children.ended():
                raise RefusedError(f"`minicourse {child.name}` ended ({child.ending}).")
            notify(ALIVE)
        notify(STOPPING)


def _require_free(settings: Settings, host: str, port: int) -> None:
    """Before anything starts: an `up` of another home must not be disturbed."""
    again = "Is another `minicourse up` running? Another port: minicourse up --port PORT"
    ports.require_free(host, port, again)
    if settings.sendgrid_api_key is None:
        again = "Is a sandbox running already? Another port: SENDGRID_HOST=http://127.0.0.1:PORT"
        ports.require_free("127.0.0.1", sandbox_port(settings), again)


def _environment(settings: Settings, port: int) -> dict[str, str]:
    """Who moves the pages to another port of this machine wants the links to lead there."""
    environment = {**os.environ, "MINICOURSE_SANDBOX_WEBHOOK_URL": webhook(port)}
    if is_loopback(settings.public_url) and port != web_port(settings):
        environment["PUBLIC_URL"] = f"http://127.0.0.1:{port}"
    return environment


def _announce(settings: Settings) -> None:
    _say("home", settings.home)
    _say("database", shown(settings))
    _say("lessons", settings.home / "lessons")
    if settings.sendgrid_api_key is not None:
        context.announce_mode(settings)


def _announce_servers(settings: Settings, host: str, port: int) -> None:
    """Once they answer: a URL that is printed can be opened."""
    _say("pages", ports.url(host, port))
    if settings.sendgrid_api_key is None:
        _say("inbox", f"{settings.mail_host} (no SENDGRID_API_KEY: all mail goes here)")
    context.say("Ctrl-C ends it.")


def _say(name: str, value: object) -> None:
    click.echo(f"{name:<10}{value}")


def _start(
    children: Children, settings: Settings, host: str, port: int, stop: SignalledStop
) -> None:
    """The scheduler comes last: it asks for somebody who takes its mail."""
    servers = []
    if settings.sendgrid_api_key is None:
        child = children.start("sandbox", "--announced", "--port", str(sandbox_port(settings)))
        servers.append((child, settings.mail_host))
    child = children.start("web", "--announced", "--host", host, "--port", str(port))
    servers.append((child, f"{ports.url(host, port)}/healthz"))
    for child, url in servers:
        wait_for(child, partial(ports.answers, url), stop)
    if not stop():
        _announce_servers(settings, host, port)
        children.start("scheduler", "--announced")
