"""Who is meant by a selection, on both databases."""

import pytest
from sqlalchemy import select, update

from course import selecting
from course.errors import InvalidInputError, MinicourseError, NotFoundError
from course.models import Cohort, Enrollment, Revision, Subscriber, Tag
from course.selecting import Selection
from tests.world import World

FIELDS = """
[fields.oven]
type = "choice"
choices = ["wood", "gas"]
[fields.loaves]
type = "number"
default = 2
[fields.vegan]
type = "yes-no"
[fields.city]
"""


@pytest.fixture
def people(any_world: World) -> World:
    """Ada has had two lessons, Ben one, and Cy has not confirmed."""
    world = any_world
    with world.database.writing() as session:
        revision = session.scalars(select(Revision)).one()
        text = revision.files["course.toml"] + FIELDS
        revision.files = {**revision.files, "course.toml": text}
        revision.content_hash = "with fields"
    ada = world.join("ada@example.org")
    world.live_through(days=4)
    ben = world.join("ben@example.org")
    world.live_through(days=0.01)
    cy = world.sign_up("cy@example.org")
    said = {
        ada: '{"oven":"wood","loaves":5,"vegan":true,"city":"Köln"}',
        ben: '{"oven":"gas","vegan":false}',
        cy: "",
    }
    with world.database.writing() as session:
        for number, stored in said.items():
            session.execute(update(Enrollment).where(Enrollment.id == number).values(fields=stored))
        for email, names in (("ada", ("vip", "berlin")), ("ben", ("vip",))):
            person = session.scalars(
                select(Subscriber.id).where(Subscriber.email == f"{email}@example.org")
            ).one()
            session.add_all(Tag(subscriber_id=person, name=name) for name in names)
    return world


def chosen(world: World, selection: Selection) -> str:
    with world.database.reading() as session:
        found = select(Subscriber.email).join(Enrollment)
        ids = selecting.ids(session, selection)
        emails = session.scalars(found.where(Enrollment.id.in_(ids)))
        return " ".join(sorted(str(email).partition("@")[0] for email in emails))


def said(**fields: str) -> Selection:
    return Selection(course="job-search", fields=fields)


# A selection, and who is meant.
TABLE = (
    (Selection(), "ada ben cy"),
    (Selection(course="job-search"), "ada ben cy"),
    (Selection(cohort="job-search/evergreen"), "ada ben cy"),
    (Selection(email="ben@example.org"), "ben"),
    (Selection(states=("active",)), "ada ben"),
    (Selection(states=("active", "pending")), "ada ben cy"),
    (Selection(tags=("vip",)), "ada ben"),
    (Selection(tags=("vip", "berlin")), "ada"),
    (Selection(without_tags=("berlin",)), "ben cy"),
    (Selection(progress="0"), "cy"),
    (Selection(progress=">=1"), "ada ben"),
    (Selection(progress="<2"), "ben cy"),
    (Selection(progress=">1"), "ada"),
    (said(oven="wood"), "ada"),
    (said(loaves="5"), "ada"),
    (said(loaves="2"), "ben cy"),
    (said(vegan="yes"), "ada"),
    (said(vegan="no"), "ben cy"),
    (said(city="Köln"), "ada"),
    (said(oven="gas", vegan="no"), "ben"),
)


def test_all_that_is_said_must_hold(people: World) -> None:
    for selection, who in TABLE:
        assert chosen(people, selection) == who, selection


WRONG: tuple[tuple[Selection, type[MinicourseError], str], ...] = (
    (Selection(tags=("vipp",)), NotFoundError, "'vipp'; there is: berlin, vip"),
    (Selection(progress="two"), InvalidInputError, "'two'"),
    (Selection(fields={"oven": "wood"}), InvalidInputError, "--course"),
    (said(owen="wood"), InvalidInputError, "'owen'; it has: oven"),
    (said(oven="coal"), InvalidInputError, "one of: wood, gas"),
    (Selection(cohort="autumn"), NotFoundError, "autumn"),
    (Selection(course="bread"), NotFoundError, "bread"),
)


def test_what_is_wrong_in_it_is_named(people: World) -> None:
    for selection, error, says in WRONG:
        with pytest.raises(error, match=says):
            chosen(people, selection)


def test_a_rehearsal_is_chosen_by_its_name_alone(people: World) -> None:
    with people.database.writing() as session:
        session.execute(update(Cohort).values(rehearsal_every=1))
    assert chosen(people, Selection(states=("active",))) == ""
    assert chosen(people, Selection(cohort="evergreen", states=("active",))) == "ada ben"
