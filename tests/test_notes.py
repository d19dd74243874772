"""Notes: to whom they go, how they look, that nobody gets one twice."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from course import enrollment, note_file, notes, soundness
from course.errors import CourseError, RefusedError
from course.models import Cohort, Enrollment
from course.note_file import NoteFile
from course.notes import Audience, Chosen, Moment
from course.selecting import Selection
from course.states import CohortState, EnrollmentState
from tests.world import World

TEXT = """\
---
subject: The call moves, {{ name or "friend" }}
preheader: Same hour, another day.
---
It moves to **Friday**{% if name %}, {{ name }}{% endif %}.
"""


def note(text: str = TEXT, name: str = "new-date.md") -> NoteFile:
    return note_file.parse(name, text)


def send(
    world: World,
    written: NoteFile | None = None,
    at: datetime | None = None,
    selection: Selection | None = None,
) -> int:
    written, now = written or note(), world.clock.now()
    chosen, moment = Chosen(selection or Selection()), Moment(at or now)
    with world.database.reading() as session:
        course = notes.course_of(session, chosen.selection)
    world.database.run(lambda s: notes.order(s, course, written, who="me", now=now, why=None))
    run = world.database.run
    return sum(notes.plan_all(run, course, written, chosen, moment, now))


def audience(world: World) -> Audience:
    with world.database.reading() as session:
        course = notes.course_of(session, Selection())
        return notes.audience(session, course, note(), Chosen(Selection()))


def subjects(world: World, email: str) -> list[str]:
    found = []
    for outgoing in world.provider.mails_to(email):
        (values,) = [p.substitutions or {} for p in outgoing.personalizations if p.to == email]
        subject = outgoing.subject
        for tag, value in values.items():
            subject = subject.replace(tag, value)
        found.append(subject)
    return found


def test_a_note_goes_once_to_each_active_person_and_moves_nobody(any_world: World) -> None:
    world = any_world
    kim, ada = world.join("kim@example.org", "Kim"), world.join("ada@example.org")
    world.sign_up("pending@example.org")
    world.tick()
    before = {number: world.lessons(number) for number in (kim, ada)}
    assert send(world) == 2
    assert send(world) == 0
    world.tick()
    assert subjects(world, "kim@example.org")[-1] == "The call moves, Kim"
    assert subjects(world, "ada@example.org")[-1] == "The call moves, friend"
    assert "The call moves" not in " ".join(subjects(world, "pending@example.org"))
    assert {number: world.lessons(number) for number in (kim, ada)} == before
    assert send(world) == 0
    with world.database.reading() as session:
        assert [found for found in soundness.check(session) if found.count] == []


def test_all_who_share_it_get_it_in_one_request(world: World) -> None:
    for number in range(5):
        world.join(f"p{number}@example.org", "Kim")
    world.tick()
    send(world)
    world.tick()
    requests = {row.request_id for row in world.rows() if row.kind == "note"}
    assert len(requests) == 1


def test_whom_it_leaves_out_is_counted(world: World) -> None:
    world.join("active@example.org")
    world.sign_up("pending@example.org")
    paused = world.join("paused@example.org")
    gone = world.join("gone@example.org")
    with world.database.writing() as session:
        which = update(Enrollment).where(Enrollment.id == paused)
        session.execute(which.values(state=EnrollmentState.PAUSED))
    world.leave(gone)
    assert audience(world) == Audience(
        to_send=1, had=0, suppressed=0, not_active=3, paused_cohort=0
    )
    send(world)
    assert audience(world).had == 1
    with world.database.writing() as session:
        session.execute(update(Cohort).values(state=CohortState.PAUSED))
    assert audience(world).paused_cohort == 1


def test_a_name_stands_for_one_text(world: World) -> None:
    world.join("kim@example.org")
    send(world)
    with pytest.raises(RefusedError, match="another text"):
        send(world, note(TEXT.replace("Friday", "Monday")))


def test_a_wall_time_is_that_of_each_reader(world: World) -> None:
    berlin = world.join("berlin@example.org", zone="Europe/Berlin")
    tokyo = world.join("tokyo@example.org", zone="Asia/Tokyo")
    world.tick()
    day = (world.clock.now() + timedelta(days=3)).date()
    send(world, at=datetime(day.year, day.month, day.day, 9))
    found = {row.enrollment_id: row.send_at for row in world.rows() if row.kind == "note"}
    assert found[tokyo] == datetime(day.year, day.month, day.day, 0, tzinfo=UTC)
    assert found[berlin] > found[tokyo]


def test_what_waits_can_be_cancelled_and_who_leaves_gets_none(world: World) -> None:
    kim, ada = world.join("kim@example.org"), world.join("ada@example.org")
    world.tick()
    send(world, at=world.clock.now() + timedelta(hours=1))
    with world.database.writing() as session:
        enrolled = session.get_one(Enrollment, ada)
        enrollment.unsubscribe(session, enrolled, enrollment.Origin("a test"), world.clock.now())
    assert {row.state for row in world.rows(ada) if row.kind == "note"} == {"cancelled"}
    run, now = world.database.run, world.clock.now()
    assert run(lambda s: notes.cancel_some(s, notes.named(s, "new-date"), now)) == 1
    world.pass_time(hours=2)
    world.tick()
    assert {row.state for row in world.rows(kim) if row.kind == "note"} == {"cancelled"}


def test_a_note_that_was_held_for_days_does_not_come_at_night(world: World) -> None:
    kim = world.join("kim@example.org", zone="Europe/Berlin")
    world.live_through(0.1)
    send(world, at=world.clock.now() + timedelta(hours=1))
    with world.database.writing() as session:
        session.execute(update(Cohort).values(state=CohortState.PAUSED))
    night = world.clock.now().replace(hour=1) + timedelta(days=2)
    world.pass_time(seconds=(night - world.clock.now()).total_seconds())
    with world.database.writing() as session:
        session.execute(update(Cohort).values(state=CohortState.OPEN))
    world.tick()
    (row,) = [row for row in world.rows(kim) if row.kind == "note"]
    assert row.state == "pending"
    assert row.send_at > world.clock.now()
    world.live_through(4)
    (row,) = [row for row in world.rows(kim) if row.kind == "note"]
    assert row.state == "accepted"


def test_a_text_keeps_its_lines_as_a_lesson() -> None:
    whole = note_file.as_course({"course.toml": "…", "01-old.md": "…"}, "new-date", TEXT)
    assert "01-old.md" not in whole
    lines = whole["01-new-date.md"].splitlines()
    assert lines.index("It moves to **Friday**{% if name %}, {{ name }}{% endif %}.") == 4


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("New Date.md", TEXT, "named like new-date.md"),
        ("new.md", "no front matter", "front matter"),
        ("new.md", "---\npreheader: x\n---\ntext\n", "new.md:2: subject is missing"),
        ("new.md", "---\nsubject: x\nafter: 2\n---\ntext\n", "new.md:3: after is not a key"),
        ("new.md", "---\nsubject: x\n---\n\n", "no text"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(name: str, text: str, says: str) -> None:
    with pytest.raises(CourseError, match=says):
        note_file.parse(name, text)
