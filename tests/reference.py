"""`make reference`: docs/cli.md, written from the commands themselves."""

from collections.abc import Iterator

import click

import cli
from course.settings import SOURCE_ROOT

PAGE = SOURCE_ROOT / "docs" / "cli.md"
_WIDTH = 80
_HEAD = """\
# Command reference

<!-- Written by `make reference` from the commands' own help: do not edit. -->

What `--help` says of each command. Where to begin stands in
[the quick start](quick-start.md), how the commands play together in
[operations](operations.md).

## Manners

Data goes to stdout, all else to stderr. Lists and shows take `--json`; what sends or
changes many takes `--dry-run`, and asks before it does it unless `--yes` stands there.
What takes a while shows a bar on a terminal, and nothing when its stderr is piped.
`NO_COLOR=1` takes the colours away.

| Exit status | Meaning | What to do |
|---|---|---|
| 0 | Done, or nothing to do. | – |
| 1 | It failed, and said why in one line that begins with `Error:` (several \
wrong settings have a line each below it); or you said no, \
or pressed Ctrl-C. | The line names the next step. |
| 2 | The command was not written as its help says. Nothing was done. | Look at `--help`. |
| 3 | It worked, and found something that needs you: `status`, `doctor`, `live`, \
`course check`, `note check`, `db check`, `db restore`. | Read what it printed. |

These do not change within a major version.

## Completion

`minicourse completion bash` prints what lets the shell finish commands, options and the
names of courses, cohorts and lessons. [How to load it](#minicourse-completion) stands
there. Names come from the database; where it cannot be read, none are offered.
"""


def text() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(name, command) for name, command in _commands())])


def _commands() -> Iterator[tuple[str, click.Command]]:
    top = click.Context(cli.minicourse)
    for name in cli.minicourse.list_commands(top):
        command = cli.minicourse.get_command(top, name)
        assert command is not None
        yield f"minicourse {name}", command
        if isinstance(command, click.Group):
            yield from (
                (f"minicourse {name} {inner}", one) for inner, one in command.commands.items()
            )


def _section(name: str, command: click.Command) -> str:
    mark = "###" if len(name.split()) > 2 else "##"
    context = click.Context(
        command, info_name=name, terminal_width=_WIDTH, help_option_names=["-h", "--help"]
    )
    lines = (line.rstrip() for line in command.get_help(context).splitlines())
    return f"{mark} {name}\n\n```text\n" + "\n".join(lines) + "\n```\n"


if __name__ == "__main__":
    PAGE.write_text(text())
