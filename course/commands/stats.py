"""`minicourse stats`: how lessons and cohorts do."""

from itertools import groupby

import click

from course import stats as numbers
from course.commands.context import json_option, load, print_json, print_table, say
from course.stats import CohortStats, LessonStats

# The words are long and a screen has 80 columns: heads break where a person would.
_LESSON_HEADS = {
    "sent": "sent",
    "delivered": "deliv-\nered",
    "opened": "opened",
    "clicked": "clicked",
    "unsubscribed": "unsub-\nscribed",
    "bounced": "bounced",
    "dropped": "dropped",
    "complained": "com-\nplained",
}
_COHORT_HEADS = ("signed_up", "confirmed", "active", "completed")


@click.command()
@click.argument("course", required=False)
@json_option
def stats(course: str | None, as_json: bool) -> None:
    """How lessons and cohorts do, of one course or of all.

    A dash (null in JSON) stands where a number cannot be known: opens and clicks of mails that
    left without tracking, and what became of mails while the provider was never heard.

    \b
    Examples:
      minicourse stats
      minicourse stats job-search --json
    """
    context = load()
    with context.raw_database.reading() as session:
        found = numbers.overall(session, course)
    if as_json:
        print_json(found)
        return
    for slug, lessons in groupby(found.lessons, key=lambda one: one.course):
        _print(slug, list(lessons), [one for one in found.cohorts if one.course == slug])
    if not found.lessons:
        say("No course yet → minicourse course apply NAME")


def _print(slug: str, lessons: list[LessonStats], cohorts: list[CohortStats]) -> None:
    print_table(
        ["lesson", *((head, "right") for head in _LESSON_HEADS.values())],
        [
            (
                one.lesson if one.number else f"{one.lesson}\n(removed)",
                *(getattr(one, name) for name in _LESSON_HEADS),
            )
            for one in lessons
        ],
        title=slug,
    )
    click.echo()
    print_table(
        ["cohort", *((name.replace("_", " "), "right") for name in _COHORT_HEADS)],
        [(one.cohort, *(getattr(one, name) for name in _COHORT_HEADS)) for one in cohorts],
    )
    click.echo()
