"""A course's own fields, and the lessons that are for some only."""

from dataclasses import replace
from datetime import UTC, datetime, time
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from course import curriculum, editing, fields, joining, rendering, sources
from course.course_file import Field, FieldKind, Value
from course.courses import apply
from course.errors import CourseError, TemplateError
from course.fields import Conditions, InvalidFieldError
from course.rendering import Recipient, Site
from tests.world import World

DECLARED = """
[fields.role]
type = "choice"
choices = ["lead", "junior"]
ask = "What are you?"

[fields.years]
type = "number"
default = 3

[fields.remote]
type = "yes-no"

[fields.company]
"""


def files_of(world: World, **lessons: str) -> dict[str, str]:
    found = dict(sources.read(world.settings.home, "job-search").files)
    kept = {name: text for name, text in found.items() if not name[0].isdigit()}
    kept["course.toml"] += DECLARED
    for name, front in lessons.items():
        kept[f"{name[1:].replace('_', '-')}.md"] = f'---\nsubject: "{name}"\n{front}\n---\n\nHi.\n'
    return kept


def course_of(world: World, **lessons: str) -> curriculum.Course:
    return curriculum.parse("job-search", files_of(world, **(lessons or {"_01_one": "after: 0"})))


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (FieldKind.TEXT, " a\r\nb\u202e ", "a b"),
        (FieldKind.NUMBER, "12", 12),
        (FieldKind.NUMBER, "-1,5", -1.5),
        (FieldKind.YES_NO, "Yes", True),
        (FieldKind.YES_NO, "off", False),
        (FieldKind.CHOICE, "lead", "lead"),
    ],
)
def test_what_is_written_becomes_a_value_of_its_kind(
    kind: FieldKind, given: str, value: object
) -> None:
    field = Field(type=kind, choices=("lead",) if kind is FieldKind.CHOICE else ())
    found = fields.read("x", field, given)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (FieldKind.NUMBER, "a lot"),
        (FieldKind.NUMBER, "9" * 400),
        (FieldKind.NUMBER, "nan"),
        (FieldKind.YES_NO, "maybe"),
        (FieldKind.CHOICE, "LEAD"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(kind: FieldKind, given: str) -> None:
    field = Field(type=kind, choices=("lead",) if kind is FieldKind.CHOICE else ())
    with pytest.raises(InvalidFieldError, match="^x: “"):
        fields.read("x", field, given)


def test_what_nobody_said_or_what_fits_no_more_has_the_default(world: World) -> None:
    course = course_of(world)
    nothing = {"role": "", "years": 3, "remote": False, "company": ""}
    assert fields.values(course, "") == nothing
    old = fields.pack({"role": "pilot", "years": "many", "remote": 1, "gone": "x"})
    assert fields.values(course, old) == nothing
    said = {"role": "lead", "years": 4.5, "remote": True, "company": "<b>"}
    assert fields.values(course, fields.pack(said)) == said


@pytest.mark.parametrize(
    ("declared", "error"),
    [
        ("[fields.name]", "'name' means something in mails already"),
        ("[fields.class]", "'class' means something"),
        ('[fields."a b"]', "'a b' is no name of a field"),
        ('[fields.x]\ntype = "date"', "type"),
        ('[fields.x]\ntype = "choice"', "choices if, and only if"),
        ('[fields.x]\nchoices = ["a"]', "choices if, and only if"),
        ('[fields.x]\ntype = "number"\ndefault = "a"', "default 'a' is no number"),
        ('[fields.x]\ntype = "yes-no"\ndefault = 1', "default 1 is no yes-no"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_with_its_line(
    world: World, declared: str, error: str
) -> None:
    files = files_of(world, _01_one="after: 0")
    files["course.toml"] = files["course.toml"].replace(DECLARED, "\n" + declared)
    with pytest.raises(CourseError, match=error) as caught:
        curriculum.parse("job-search", files, where="here/")
    assert str(caught.value).startswith("here/course.toml:")


def test_mails_print_and_test_fields_as_literal_text(world: World) -> None:
    files = files_of(world, _01_one="after: 0")
    files["01-one.md"] += "{{ company or 'yours' }} {% if years > 3 and remote %}old{% endif %}"
    course = rendering.load_course("job-search", files, Site())
    said = fields.pack({"company": "<b>*Ada*</b>", "years": 9, "remote": True})
    message = course.lesson("one")
    mail = message.mail(course.values(Recipient("a@example.org", fields=said)))
    assert "&lt;b&gt;*Ada*&lt;/b&gt; old" in mail.html
    assert "<b>*Ada*</b> old" in mail.text
    assert "yours" in message.mail(course.values(Recipient("b@example.org"))).text


@pytest.mark.parametrize(
    ("when", "unwanted"),
    [
        ("role == 'lead'", True),
        ("role != 'lead'", False),
        ("years > 2 and not remote", False),
        ("not company", False),
        ("years < 'x'", False),  # nobody can say: rather one too many
        ("true", False),
        ("false", True),
    ],
)
def test_a_condition_is_asked_of_each_persons_fields(
    world: World, when: str, unwanted: bool
) -> None:
    course = course_of(world, _01_one="after: 0", _02_two=f'after: 1\nwhen: "{when}"')
    assert Conditions(course).unwanted("") == ({"two"} if unwanted else set())


@pytest.mark.parametrize(
    ("when", "error"),
    [
        ("stove", "'stove' is not defined"),
        ("name", "'name' is not defined"),
        ("role ==", "unexpected"),
        ("role.__class__", "cannot stand here|may"),
    ],
)
def test_a_condition_that_cannot_be_asked_is_refused_with_its_line(
    world: World, when: str, error: str
) -> None:
    course = course_of(world, _01_one="after: 0", _02_two=f'after: 1\nwhen: "{when}"')
    with pytest.raises(TemplateError, match=f"^here/02-two.md:4: .*({error})"):
        Conditions(course, "here/")


# Through the whole path -------------------------------------------------------------------------

LESSONS = {
    "_01_one": "after: 0",
    "_02_leads": "after: 2\nwhen: role == 'lead'",
    "_03_all": "after: 1",
    "_04_juniors": "after: 1\nwhen: role == 'junior'",
}


def with_lessons(world: World) -> None:
    source = sources.read(world.settings.home, "job-search")
    files = files_of(world, **LESSONS)
    with world.database.writing() as session:
        apply(
            session,
            replace(source, files=files),
            "test",
            world.clock.course,
        )


def say(world: World, enrollment_id: int, **values: Value) -> None:
    with world.database.writing() as session:
        row = session.get_one(joining.Enrollment, enrollment_id)
        row.fields = fields.pack(values)


def test_a_lesson_comes_to_those_for_whom_it_is_and_moves_nothing_for_others(
    any_world: World,
) -> None:
    with_lessons(any_world)
    lead, junior = any_world.sign_up("l@example.org"), any_world.sign_up("j@example.org")
    say(any_world, lead, role="lead")
    say(any_world, junior, role="junior")
    any_world.tick()
    any_world.confirm(lead), any_world.confirm(junior)
    any_world.live_through(days=10)
    assert any_world.lessons(lead) == [
        ("one", "accepted"),
        ("leads", "accepted"),
        ("all", "accepted"),
        ("juniors", "cancelled"),
    ]
    assert any_world.lessons(junior) == [
        ("one", "accepted"),
        ("leads", "cancelled"),
        ("all", "accepted"),
        ("juniors", "accepted"),
    ]
    assert {any_world.state(one) for one in (lead, junior)} == {"completed"}
    due = {row.message_key: row.due_at for row in any_world.rows(junior) if row.kind == "lesson"}
    assert due["leads"] == due["one"]
    assert (due["all"].date() - due["one"].date()).days == 1


def test_who_has_an_hour_of_their_own_gets_lessons_at_that_hour(any_world: World) -> None:
    early = any_world.sign_up("early@example.org", zone="Europe/Berlin")
    with any_world.database.writing() as session:
        session.get_one(joining.Enrollment, early).form_hour = time(6, 30)
    any_world.tick()
    any_world.confirm(early)
    any_world.live_through(days=5)
    later = [row.due_at for row in any_world.rows(early) if row.kind == "lesson"][1:]
    berlin = ZoneInfo("Europe/Berlin")
    assert {moment.astimezone(berlin).time() for moment in later} == {time(6, 30)}


def test_a_rehearsal_comes_as_often_as_it_says(any_world: World) -> None:
    with any_world.database.writing() as session:
        cohort = joining.Cohort
        session.query(cohort).filter_by(name="evergreen").update({"rehearsal_every": 30})
    any_world.clock.course = datetime(2030, 3, 2, 22, 0, tzinfo=UTC)  # a Saturday night
    me = any_world.join("me@example.org")
    for _ in range(20):
        any_world.tick()
        any_world.pass_time(seconds=15)
    due = [row.due_at for row in any_world.rows(me) if row.kind == "lesson"]
    assert len(due) == 7
    gaps = {(b - a).total_seconds() for a, b in pairwise(due)}
    assert gaps == {30}


def test_what_could_be_endless_is_refused(world: World) -> None:
    for when in ("3 ** years > 4", "years * 'x' * 99999999 > 'a'", "'%99999999d' % years > 'a'"):
        course = course_of(world, _01_one="after: 0", _02_two=f'after: 1\nwhen: "{when}"')
        with pytest.raises(TemplateError, match="not (calculated|made) here"):
            Conditions(course).try_out()


@pytest.mark.parametrize("when", ["years > 'a'", "years / 0 > 1", "role > 3"])
def test_a_condition_that_has_no_answer_cannot_go_live(world: World, when: str) -> None:
    files = files_of(world, _01_one="after: 0", _02_two=f'after: 1\nwhen: "{when}"')
    with pytest.raises(TemplateError, match="^lessons/job-search/02-two.md:4: "):
        rendering.compile_course("job-search", files, where="lessons/job-search/")


def test_a_plan_asks_the_condition(world: World) -> None:
    """Whom a lesson reaches that is for some only, and whom it reaches no more."""
    with_lessons(world)
    for email, role in (("l@example.org", "lead"), ("j@example.org", "junior")):
        number = world.sign_up(email)
        say(world, number, role=role)
        world.tick()
        world.confirm(number)
        world.tick()
    lessons = LESSONS | {"_02_leads": "after: 2", "_05_new": "after: 1\nwhen: role == 'lead'"}
    with world.database.reading() as session:
        new = files_of(world, **lessons)
        found = editing.plan(session, "job-search", new, world.clock.now())
    told = {one.lesson: (one.what.value, one.coming, one.not_for) for one in found.effects}
    assert told == {"leads": ("for other readers", 2, 0), "new": ("added", 1, 1)}
    gone = files_of(world, **LESSONS)
    gone["course.toml"] = gone["course.toml"].replace("[fields.years]", "[fields.age]")
    with world.database.reading() as session:
        found = editing.plan(session, "job-search", gone, world.clock.now())
    assert found.changes.fields == ("years",)
