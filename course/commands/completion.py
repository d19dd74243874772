"""`minicourse completion`: what the shell needs to finish words, and the names that it may offer.

Whoever presses Tab waits for it, and has asked for nothing: names come with few rows of the
database, or not at all.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, get_completion_class

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

VARIABLE = "_MINICOURSE_COMPLETE"  # set by the scripts while they ask
_MOST = 200
_PATIENCE_SECONDS = 0.5

# What a parameter stands for, by the word that the help shows for it.
_KINDS = {
    "COURSE/NAME": "cohort",
    "COURSE/COHORT": "cohort",
    "COURSE/LESSON": "lesson",
    "[COURSE/]LESSON": "lesson",
    "[COURSE/]LESSON|COURSE": "lesson",
    "[COURSE/]NOTE": "note",
    "[NAME]...": "course",
}
# Commands that are about files, which need not be live.
_OF_FOLDERS = {
    *("course check", "course plan", "course apply", "course timeline"),
    *("lesson preview", "lesson test"),
}
# A bare ~/.zshrc has not begun zsh's own completion, and then there is no `compdef`.
_BEGUN = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what lets a shell finish commands, options, and the names of your courses, cohorts
    and lessons.

    \b
    Examples:
      minicourse completion bash
      minicourse completion zsh
      minicourse completion fish

    To have it in each new shell:

    \b
      bash   echo 'eval "$(minicourse completion bash)"' >> ~/.bashrc
      zsh    echo 'eval "$(minicourse completion zsh)"' >> ~/.zshrc
      fish   minicourse completion fish \\
               > ~/.config/fish/completions/minicourse.fish

    zsh's own completion is begun where it was not; a compinit of your own stands before that line.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    asked = kind(click.Group(), {}, "minicourse", VARIABLE)
    script = asked.source_template % asked.source_vars()
    click.echo(script.replace("    compdef ", f"    {_BEGUN}\n    compdef "))


def offer_names(command: click.Command) -> None:
    """From now on this command's parameters, and those of its own, offer the names that are there.
    Only for a run that completes: nothing is checked by it."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            offer_names(inner)
    for param in command.params:
        if isinstance(param.type, click.types.StringParamType) and (kind := _kind(param)):
            param.type = _Name(kind)


def _kind(param: click.Parameter) -> str | None:
    if param.metavar:
        return _KINDS.get(param.metavar)
    if param.name == "course" or (isinstance(param, click.Argument) and param.name == "name"):
        return "course"
    return None


class _Name(click.ParamType[str]):
    name = "text"  # as the help calls a word that may be any

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem[Any]]:
        names: dict[str, None] = {}
        # No settings, no database, no server: nobody is to hear of it here.
        with suppress(Exception):
            names |= dict.fromkeys(_names(self._kind))
        if ctx.command_path.partition(" ")[2] in _OF_FOLDERS:
            with suppress(Exception):
                names |= dict.fromkeys(_on_disk(self._kind))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)][:_MOST]


def _on_disk(kind: str) -> Iterator[str]:
    """Courses that lie in `lessons/`, applied or not; or their lessons, by the files' names."""
    from course.curriculum import LESSON_NAME
    from course.settings import Settings

    for folder in sorted((Settings.load().home / "lessons").iterdir()):
        if kind == "course" and folder.is_dir():
            yield folder.name
        elif kind == "lesson":
            files = sorted(path.name for path in folder.glob("*.md"))
            found = filter(None, map(LESSON_NAME.match, files))
            yield from (f"{folder.name}/{match[2]}" for match in found)


def _names(kind: str) -> list[str]:
    from course.db import Database, require_there
    from course.settings import Settings

    settings = Settings.load()
    require_there(settings)
    database = Database(_hurried(settings.database), patience_seconds=_PATIENCE_SECONDS)
    try:
        with database.reading() as session:
            return _read(session, kind)
    finally:
        database.dispose()


def _hurried(database: str) -> str:
    """A server that does not answer is not waited for."""
    from sqlalchemy import make_url

    url = make_url(database)
    if url.get_backend_name() == "postgresql":
        url = url.update_query_dict({"connect_timeout": "2"})  # seconds; its least
    return url.render_as_string(hide_password=False)


def _read(session: "Session", kind: str) -> list[str]:
    from course import cohorts, courses, notes

    if kind == "cohort":
        return [cohorts.label(cohort) for cohort in cohorts.every(session)]
    if kind == "note":
        return [f"{line.course}/{line.note}" for line in notes.listing(session)]
    live = courses.all_live(session)
    if kind == "course":
        return [course.slug for course in live]
    return [f"{one.slug}/{lesson.slug}" for one in live for lesson in one.curriculum.lessons]
