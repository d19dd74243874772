"""The `minicourse` command line. Each command reads the settings, takes `now` once, calls one
function of a service and prints what it says.

Data goes to stdout, chatter to stderr. Exit 0: done; 1: failed, with one line that says why and
what next; 2: the command was not written as `--help` says; 3: attention needed.
"""

import importlib
import sys

import click

from course.errors import MinicourseError

# name → (module in course.commands, the one line of `--help`); imported only when called.
COMMANDS = {
    "init": ("setup", "Make the database and publish the courses found."),
    "demo": ("demo", "Show a whole course in twenty seconds, without an account."),
    "up": ("up", "Run web and scheduler, and the sandbox where there is no key."),
    "live": ("live", "Go from sandbox to real mail."),
    "status": ("status", "One screen: what is going on."),
    "doctor": ("doctor", "Check the set-up and say how to mend it."),
    "stats": ("stats", "How lessons and cohorts do."),
    "course": ("course", "Courses: list, show, apply, publish."),
    "lesson": ("lesson", "Lessons: list, show, preview."),
    "cohort": ("cohort", "Cohorts: create, list, show, open, close."),
    "subscriber": ("subscriber", "People: add, list, show, import, unsubscribe."),
    "delivery": ("delivery", "The ledger: list, show, resolve, retry."),
    "send": ("send", "Send what is due; hold and release."),
    "db": ("database", "The database: upgrade."),
    "web": ("processes", "Serve the pages and the webhook."),
    "scheduler": ("processes", "Release lessons when they are due, for ever."),
    "sandbox": ("processes", "A stand-in for SendGrid on this machine."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"course.commands.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="minicourse", prog_name="minicourse")
def minicourse() -> None:
    """E-mail mini-courses: every lesson on time, never twice, easy to leave.

    \b
    Examples:
      minicourse init                  make the database, publish the courses
      minicourse up                    run everything on this machine
      minicourse status                see what is going on
    """


def main() -> None:
    """Run the command line; what a person can mend is one line on stderr, never a trace."""
    try:
        minicourse()
    except MinicourseError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
