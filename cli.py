"""The `minicourse` command line. Each command reads the settings, takes `now` once, calls one
function of a service and prints what it says.

Data goes to stdout, chatter to stderr. Exit 0: done; 1: failed, with one line that says why and
what next; 2: the command was not written as `--help` says; 3: attention needed.
"""

import errno
import importlib
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from course.errors import MinicourseError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# name → (module in course.commands, the one line of `--help`); imported only when called.
COMMANDS = {
    "init": ("setup", "Make the database and publish the courses found."),
    "demo": ("demo", "Show a whole course in twenty seconds, without an account."),
    "up": ("up", "Run web and scheduler, and the sandbox where there is no key."),
    "live": ("live", "Go from sandbox to real mail."),
    "sendgrid": ("sendgrid", "Set the SendGrid account up."),
    "status": ("status", "One screen: what is going on."),
    "doctor": ("doctor", "Check the set-up and say how to mend it."),
    "stats": ("stats", "How lessons and cohorts do."),
    "course": ("course", "Courses: new, check, timeline, plan, apply, rehearse."),
    "lesson": ("lesson", "Lessons: list, show, preview, test; a sent mail again."),
    "cohort": ("cohort", "Cohorts: create, edit, list, show, open, pause, archive."),
    "subscriber": ("subscriber", "People: add, set, list, show, import, unsubscribe."),
    "delivery": ("delivery", "The ledger: list, show, who-got, resolve, retry."),
    "suppression": ("suppression", "Addresses that may not be mailed: list, add, remove, sync."),
    "send": ("send", "Send what is due; hold and release."),
    "note": ("note", "One mail to chosen people of a course, outside of its lessons."),
    "db": ("database", "The database: backup, restore, copy, check, prune."),
    "service": ("service", "Files for systemd, Caddy, cron: print."),
    "completion": ("completion", "Let bash, zsh or fish finish words."),
    "web": ("processes", "Serve the pages and the webhook."),
    "scheduler": ("processes", "Release lessons when they are due, for ever."),
    "worker": ("processes", "Send what the scheduler hints at: one of a fleet."),
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
        if _completes():
            importlib.import_module("course.commands.completion").offer_names(command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[Any]]":
        """Names alone: whoever presses Tab does not wait for any command to be loaded."""
        from click.shell_completion import CompletionItem

        named = [
            CompletionItem(name, help=about)
            for name, (_, about) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    package_name="minicourse",
    prog_name="minicourse",
    message=f"%(prog)s %(version)s, on Python {platform.python_version()}",
)
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
    _open_what_is_closed()
    try:
        _run()
    except Exception as error:
        if _completes():  # a trace between the words that somebody types helps nobody
            sys.exit(1)
        words = _in_one_line(error)
        if words is None:
            raise
        click.echo(f"Error: {words}", err=True)
        sys.exit(1)


def _completes() -> bool:
    """Whether a shell asks how a word may go on."""
    return "_MINICOURSE_COMPLETE" in os.environ


def _open_what_is_closed() -> None:
    """A stream that was closed before the start (`>&-`) leads nowhere. Without this its number
    would be given to the next file that is opened, such as the database."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def _run() -> None:
    """What is still in stdout's buffer is written here, where a failure can be told."""
    try:
        try:
            minicourse(prog_name="minicourse")  # whatever file it was started by
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # such as `| head`: nobody wants to read on
        _drop_output()
        sys.exit(1)


def _in_one_line(error: Exception) -> str | None:
    """What went wrong and what next; None for a fault of ours, which needs its trace."""
    if isinstance(error, MinicourseError):
        return str(error)
    if isinstance(error, OSError) and _is_of_stdout(error):
        _drop_output()
        return f"Cannot write the output: {error.strerror}. Send it elsewhere, and try again."
    if isinstance(error, OSError) and error.filename:
        return _of_file(error)
    if isinstance(error, UnicodeEncodeError):
        beyond = error.object[error.start : error.start + 1]
        return (
            f"The output is to be {error.encoding}, which has no {beyond!a}. "
            "Ask for another: PYTHONIOENCODING=utf-8"
        )
    from course.db import is_busy  # loaded by now, if it is that

    if is_busy(error):
        return (
            "The database is busy: another process has been writing all the time. What was done "
            "is kept and nothing is lost; wait a moment and run the same command again."
        )
    return None


def _of_file(error: OSError) -> str:
    """A file or folder that somebody named, or that lies in what they named."""
    path = os.fsdecode(error.filename)
    folder = shlex.quote(str(Path(path).parent))
    step = {
        errno.ENOENT: f"See that its folder is there: ls -ld {folder}",
        errno.EEXIST: "Move what is there away, or name another place",
        errno.ENOTDIR: "What should be a folder is none; name another place",
        errno.EISDIR: "Name a file",
        errno.EROFS: "What is there cannot be changed; name another place",
        errno.ENOSPC: "Make room there, and try again",
    }.get(error.errno or 0, f"See that you may read and write it: ls -ld {folder}")
    return f"{path}: {error.strerror}. {step}"


def _is_of_stdout(error: OSError) -> bool:
    """Ours name their file; a write to an open stream does not."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF)


def _drop_output() -> None:
    """The interpreter would try once more at its end, and say so."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
