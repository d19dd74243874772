"""`minicourse course form`: the form to sign up, for a page elsewhere."""

from collections.abc import Callable

import click
from jinja2 import Environment, StrictUndefined
from markupsafe import escape

from course import courses
from course.commands.context import load, say
from course.consents import agreement
from course.courses import Live
from course.settings import Settings
from course.urls import is_loopback
from course.web import texts
from course.web.forms import FIELD_PREFIX
from course.web.templates import loader

_FIRST_FIELDS, _EACH_FIELD = 580, 110  # pixels, on a narrow phone whose lines break most
_WORDPRESS_STEPS = """\
In WordPress, edit the page, press + and choose the block Custom HTML; paste what
follows between the two comments. (Or all of it into the Code editor.) Where
WordPress takes the form out again, your account may not use HTML: use the link."""


@click.command()
@click.argument("name")
@click.option("--snippet", is_flag=True, help="Only the form as plain HTML.")
@click.option("--iframe", is_flag=True, help="Only the frame that shows it.")
@click.option("--link", is_flag=True, help="Only the link to the page.")
@click.option("--wordpress", is_flag=True, help="Only the WordPress block.")
def form(name: str, **kinds: bool) -> None:
    """Print the form to sign up for your own site: HTML, a frame, a link, WordPress.

    The HTML needs no script and looks as your site does; whoever sends it sees one more button, as
    robots send forms, too. The frame looks as the course's page does,
    and knows the visitor's time zone. Both may lie in a cache for as long as you like; print the
    HTML again when you change the course's fields or its title.

    \b
    Examples:
      minicourse course form job-search
      minicourse course form job-search --snippet
      minicourse course form job-search --iframe
    """
    asked = [kind for kind, is_asked in kinds.items() if is_asked]
    if len(asked) > 1:
        listed = " and ".join(f"--{kind}" for kind in asked)
        raise click.UsageError(f"{listed}: give one of them, or none for all.")
    context = load()
    with context.raw_database.reading() as session:
        live = courses.live(session, name)
    _warn(context.settings, live)
    for kind in asked:
        if kind == "wordpress":
            say(_WORDPRESS_STEPS)
        click.echo(_FORMS[kind](context.settings, live))
        return
    for title, short in _TITLES.items():
        click.echo(f"{title}\n{'-' * len(title)}")
        if short == "wordpress":
            click.echo(f"{_WORDPRESS_STEPS}\n")
        click.echo(f"{_FORMS[short](context.settings, live)}\n")


def _warn(settings: Settings, live: Live) -> None:
    if live.state != courses.PUBLISHED:
        say(f"{live.slug} is not open yet → minicourse course publish {live.slug}")
    if is_loopback(settings.public_url):
        say(f"PUBLIC_URL is {settings.public_url}: this works on this machine alone.")


def _page(settings: Settings, live: Live) -> str:
    return f"{settings.public_url}/c/{live.slug}"


def _snippet(settings: Settings, live: Live) -> str:
    environment = Environment(
        loader=loader(settings.home),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = texts.load(settings.home, live.curriculum.language)
    return environment.get_template("web/snippet.html.j2").render(
        action=f"{_page(settings, live)}/signup",
        texts=words,
        course=live.curriculum,
        prefix=FIELD_PREFIX,
        agreement=agreement(words, "signup", live.curriculum),
    )


def _iframe(settings: Settings, live: Live) -> str:
    asked = sum(bool(field.ask) for field in live.curriculum.fields.values())
    return (
        f'<iframe src="{_page(settings, live)}/embed" title="{escape(live.curriculum.title)}"\n'
        f'  width="100%" height="{_FIRST_FIELDS + asked * _EACH_FIELD}" style="border: 0"'
        ' loading="lazy"></iframe>'
    )


def _link(settings: Settings, live: Live) -> str:
    return f'<a href="{_page(settings, live)}">{escape(live.curriculum.title)}</a>'


def _wordpress(settings: Settings, live: Live) -> str:
    return f"<!-- wp:html -->\n{_snippet(settings, live)}\n<!-- /wp:html -->"


_FORMS: dict[str, Callable[[Settings, Live], str]] = {
    "snippet": _snippet,
    "iframe": _iframe,
    "link": _link,
    "wordpress": _wordpress,
}
_TITLES = {
    "Plain HTML, which looks as your site does": "snippet",
    "A frame, which looks as the course's page does": "iframe",
    "A link to the course's page": "link",
    "WordPress": "wordpress",
}
