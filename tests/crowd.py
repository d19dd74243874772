"""People by the thousand, confirmed already: enrolled by two statements."""

from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from course import cohorts
from course.db import Database
from course.models import Enrollment, Subscriber
from course.people import email_hash, mailbox_hash
from course.states import EnrollmentState
from course.tokens import new_token
from tests.world import START


def enroll(
    database: Database, emails: Sequence[str], zones: Sequence[str | None], hash_key: str
) -> None:
    """Into the evergreen cohort, in this order and each in the next of the zones; their first
    lesson is due at once."""

    def work(session: Session) -> None:
        session.execute(
            insert(Subscriber),
            [
                {
                    "email": email,
                    "email_hash": email_hash(email, hash_key),
                    "mailbox_hash": mailbox_hash(email, hash_key),
                    "name": f"Person {number}",
                    "zone": zones[number % len(zones)],
                    "is_sandbox": True,
                    "created_at": START,
                }
                for number, email in enumerate(emails)
            ],
        )
        cohort = cohorts.find(session, cohorts.EVERGREEN)
        session.execute(
            insert(Enrollment),
            [
                {
                    "subscriber_id": subscriber_id,
                    "course_id": cohort.course_id,
                    "cohort_id": cohort.id,
                    "state": EnrollmentState.ACTIVE,
                    "token": new_token(),
                    "created_at": START,
                    "confirmed_at": START,
                    "starts_at": START,
                    "next_due_at": START,
                }
                for subscriber_id in session.scalars(select(Subscriber.id).order_by(Subscriber.id))
            ],
        )

    database.run(work)
