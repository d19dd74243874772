"""One course on each rung: the same mails for the same people at the same times, nothing twice."""

import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, select
from sqlalchemy.orm import Session

from course import enrollment
from course.models import Delivery, Enrollment, Subscriber
from tests import checker, redis
from tests.conformance.rungs import API_KEY, KEYS, SHAPES, Rung, standing
from tests.world import HERE, START

pytestmark = pytest.mark.e2e

PEOPLE = [f"p{number}@example.org" for number in range(60)]
LEAVER = PEOPLE[7]


@pytest.mark.parametrize("name", SHAPES)
def test_the_same_course_is_lived_on_each_rung(
    name: str, tmp_path: Path, postgres_server: URL
) -> None:
    shape = SHAPES[name]
    if shape.workers:
        redis.require()
    with standing(shape, tmp_path, postgres_server, PEOPLE) as rung:
        rung.live_on(START + timedelta(days=2))
        rung.database.run(lambda s: _leave(s, LEAVER, rung))
        rung.live_on(START + timedelta(days=30))
        _is_as_it_should_be(rung)
        for process in rung.processes:
            process.send(signal.SIGTERM)
        ended = [process.wait() for process in rung.processes]
        assert {status for status, _ in ended} == {0}
        for printed in [printed for _, printed in ended[shape.schedulers :]]:
            assert "accepted" in printed
            secrets = [API_KEY, redis.PASSWORD, *KEYS.values(), "@example.org"]
            assert [secret for secret in secrets if secret in printed] == []


def _leave(session: Session, email: str, rung: Rung) -> None:
    mine = select(Enrollment).join(Subscriber).where(Subscriber.email == email)
    learner = session.scalars(mine).one()
    enrollment.unsubscribe(session, learner, HERE, rung.clock.now())


def _is_as_it_should_be(rung: Rung) -> None:
    with rung.database.reading() as session:
        ledger = checker.look(session)
        names = dict(
            session.execute(
                select(Delivery.id, Subscriber.email)
                .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
                .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
            ).all()
        )
    taken = rung.taken
    assert checker.violations(ledger, taken) == []
    assert checker.undecided(ledger) == []
    got = Counter(
        (names[one.delivery_id], ledger.rows[one.delivery_id].message_key) for one in taken
    )
    # In this course a lesson comes a day: who leaves on the third has had two, or three in Tokyo.
    whole = {(email, lesson) for email in PEOPLE if email != LEAVER for lesson in ledger.lessons}
    left = {(email, lesson) for email, lesson in got if email == LEAVER}
    assert set(got) == whole | left
    assert {lesson for _, lesson in left} == set(ledger.lessons[: len(left)])
    assert 0 < len(left) < len(ledger.lessons)
    assert set(got.values()) == {1}
