"""`minicourse sendgrid`: the account's side of things."""

import sys
import time
from collections.abc import Callable
from functools import partial

import click
import dotenv

from course import installation, readiness
from course.account import Account, AccountError, Webhook
from course.commands.context import Context, load, say
from course.errors import RefusedError
from course.settings import SENDGRID, Settings

_KEY_NAME = "SENDGRID_WEBHOOK_PUBLIC_KEY"
_LOOK_SECONDS = 0.3
_STEPS = """\
1. Open https://app.sendgrid.com/settings/mail_settings/webhook_settings
   and press Create new webhook.
2. Post URL: {url}
3. Choose all of the events under Deliverability Data and Engagement Data.
4. Under Security features, turn on Signed Event Webhook, and save.
5. Copy its Verification Key into {env}:
   {name}=…
6. Start `minicourse up` again, and press Test Integration there.
7. Look whether it was heard: minicourse live"""


@click.group()
def sendgrid() -> None:
    """The SendGrid account: have its events come here.

    \b
    Example:
      minicourse sendgrid setup --steps
    """


@sendgrid.command()
@click.option("--steps", is_flag=True, help="Only print what to do by hand.")
@click.option("--rehearse", is_flag=True, help="Only practise: the sandbox plays SendGrid.")
@click.option(
    "--wait",
    type=click.IntRange(0, 600),
    default=60,
    show_default=True,
    help="So many seconds for the test event.",
)
def setup(steps: bool, rehearse: bool, wait: int) -> None:
    """Make the event webhook on PUBLIC_URL, signed, and wait for its first post.

    It asks for a key with Full Access, which is used for this alone: it is neither kept nor logged.
    Without one, press Enter, and do it by hand. May be run again at any time.

    --rehearse does it in the sandbox of a running `up`, and asks for no key; see live --rehearse.

    \b
    Example:
      minicourse sendgrid setup --steps

    To practise: minicourse sendgrid setup --rehearse
    """
    here = load()
    if steps:
        click.echo(_by_hand(here.settings))
        return
    if rehearse:
        _rehearse(here, wait)
        return
    _require_public(here.settings)
    key = _ask()
    if not key:
        click.echo(_by_hand(here.settings))
        return
    account = Account(key, here.settings.mail_host)
    webhook = _made(account, here.settings)
    _write_key(here.settings, account.sign_webhook(webhook))
    click.echo(f"✓ Its posts are signed; the key is in {here.settings.home / '.env'}")
    _hear_test(here, account, webhook, wait)


def _require_public(settings: Settings) -> None:
    if settings.sendgrid_api_key is None and settings.sendgrid_host == SENDGRID:
        raise RefusedError(
            "SENDGRID_API_KEY is not set, so that mail goes to the sandbox. Set it first; what it "
            "needs says: minicourse live"
        )
    if not settings.sandboxed and not settings.public_url.startswith("https://"):
        raise RefusedError(
            f"PUBLIC_URL is {settings.public_url}: SendGrid cannot post there. Set it to the "
            "https address of your server first."
        )


def _ask() -> str:
    """From a pipe, too; never from the command line, where others could read it."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    asked: str = click.prompt("Full Access key", default="", hide_input=True, show_default=False)
    return asked.strip()


def _by_hand(settings: Settings) -> str:
    url = readiness.webhook_url(settings)
    return _STEPS.format(url=url, env=settings.home / ".env", name=_KEY_NAME)


def _made(account: Account, settings: Settings) -> Webhook:
    try:
        known = readiness.ours(settings, account.webhooks())
        made = account.save_webhook(readiness.webhook_url(settings), known)
    except AccountError as error:
        if error.is_refused:
            say("It needs a key with Full Access. Without one: minicourse sendgrid setup --steps")
        raise
    click.echo(f"✓ {'Changed' if known else 'Made'} the webhook at {settings.mail_host}:")
    click.echo(f"  {made.url}")
    return made


def _write_key(settings: Settings, key: str) -> None:
    """What is in the file otherwise stays as it is."""
    path = settings.home / ".env"
    path.touch(mode=0o600, exist_ok=True)
    dotenv.set_key(path, _KEY_NAME, key, quote_mode="never")


def _hear_test(here: Context, account: Account, webhook: Webhook, wait: int) -> None:
    here.raw_database.run(installation.listen_anew)
    account.post_test_event(webhook)
    say("Waiting for SendGrid's test event …")
    _wait_until(partial(_is_heard, here), webhook, wait)
    click.echo("✓ Heard its test event.")


def _wait_until(is_heard: Callable[[], bool], webhook: Webhook, wait: int) -> None:
    ends = time.monotonic() + wait
    while not is_heard():
        if time.monotonic() > ends:
            raise RefusedError(
                f"Nothing was heard at {webhook.url}. Is `minicourse up` running, and does the web "
                "server in front hand requests on to it? Then run this again."
            )
        time.sleep(_LOOK_SECONDS)


def _is_heard(here: Context) -> bool:
    with here.raw_database.reading() as session:
        return installation.get(session).webhook_heard_at is not None


def _rehearse(here: Context, wait: int) -> None:
    """The same in the sandbox's account, and what is done on the web for a domain. Nothing is
    written down here."""
    from course import played  # only a rehearsal needs it

    with here.raw_database.reading() as session:
        stage = played.stage(session, here.settings)
    click.echo("A rehearsal: the sandbox plays SendGrid, and nothing is kept in .env.")
    if here.settings.has_sender:
        name = here.settings.mail_from.rpartition("@")[2]
        stage.account.add_domain(name)
        click.echo(f"✓ Authenticated {name} (live: on SendGrid's site, and with your records)")
    webhook = _made(stage.account, here.settings)
    stage.account.sign_webhook(webhook)
    click.echo("✓ Its posts are signed (live: the key goes to .env)")
    stage.account.post_test_event(webhook)
    _wait_until(lambda: stage.heard().webhook_at is not None, webhook, wait)
    click.echo("✓ Heard its test event.")
    if not here.settings.has_sender:
        say("MAIL_FROM is not set: set it, then run this again for its domain.")
    say("Next: minicourse live --rehearse")
