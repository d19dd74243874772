"""What the commands about suppressions share: whose address, for which course, with which key."""

import click
from sqlalchemy.orm import Session

from course import courses, installation
from course.commands.context import Context, load
from course.people import email_hash, parse_email

course_option = click.option("--course", help="Only for this course. Default: for all.")


def keyed() -> Context:
    """With the key that the hashes are made with."""
    here = load()
    with here.raw_database.reading() as session:
        installation.check_keys(session, here.settings)
    return here


def hash_of(here: Context, email: str) -> str:
    return email_hash(parse_email(email, sandbox=True), here.hash_key)


def id_of(session: Session, course: str | None) -> int | None:
    return courses.live(session, course).id if course else None
