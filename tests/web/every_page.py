"""Every page that the public can come to, each as a request, and all addresses that mails bring."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from course import tokens
from course.models import Delivery, Enrollment, Request, Revision
from course.samples import TOKEN
from course.states import CohortState, MessageKind

from .conftest import COURSE, MONDAY, SECRET, World
from .test_manage import allow_next_now, press, settle


@dataclass(frozen=True)
class Visit:
    """What a browser asks for; a POST is what a press on a button of ours sends."""

    name: str
    path: str
    form: dict[str, str] | None = None
    status: int = 200
    private: bool = False
    framed: bool = False


@dataclass
class Cast:
    """People in each state, in one world."""

    world: World
    tokens: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    confirm: dict[str, str] = field(default_factory=dict)


def cast(world: World) -> Cast:
    """Joined, waiting, late, paused, gone, done; one has had a lesson and asked for all links."""
    allow_next_now(world)
    found = Cast(world)
    assert world.sign_up("late@example.org").status_code == 202
    found.confirm["expired"] = world.confirm_link(
        "late@example.org", made_at=MONDAY - timedelta(days=8)
    )
    assert world.sign_up("new@example.org").status_code == 202
    found.confirm["asked"] = world.confirm_link("new@example.org")
    for name in ("active", "paused", "cancelled", "completed"):
        found.tokens[name] = world.join(f"{name}@example.org", name=name)
    found.confirm["before"] = world.confirm_link("active@example.org")
    for purpose in ("data", "erase", "name", "address"):
        email = f"{purpose}@example.org"
        token = world.join(email)
        press(world, token, "link", purpose=purpose)
        found.links[purpose] = _newest_link(world)
        settle(world)
    found.links["over"] = found.links["data"]
    press(world, world.enrollment("data@example.org").token, "link", purpose="data")
    found.links["data"] = _newest_link(world)
    settle(world)
    world.client.post(found.links["address"], data={"email": "fresh@example.org"})
    found.links["new-address"] = _newest_link(world)
    settle(world)
    world.set_state("completed", "completed@example.org")
    press(world, found.tokens["paused"], "pause", **{"for": "week"})
    world.client.post(f"/unsubscribe/{found.tokens['cancelled']}", data={"scope": "course"})
    found.confirm["over"] = world.confirm_link("cancelled@example.org")
    _receive(world)
    world.cohort("full", state=CohortState.CLOSED)
    world.cohort("later", starts_on=(MONDAY + timedelta(days=30)).date(), capacity=3)
    return found


def _receive(world: World) -> None:
    deliver_to = "active@example.org"
    number = world.enrollment(deliver_to).id
    world.receive("welcome", MONDAY, deliver_to)
    with world.database.writing() as session:
        revision = session.query(Revision).one()
        request = Request(revision_id=revision.id, size=1, sent_at=MONDAY)
        session.add(request)
        session.flush()
        row = session.query(Delivery).filter_by(message_key="welcome", enrollment_id=number).one()
        row.revision_id, row.request_id = revision.id, request.id


def _newest_link(world: World, made_at: object = None) -> str:
    mail = [row for row in world.rows(Delivery) if row.kind == MessageKind.LINK][-1]
    return f"/link/{tokens.sign('link', mail.id, made_at or world.now, [SECRET])}"  # type: ignore[arg-type]


def looks(people: Cast) -> Iterator[Visit]:
    """All that a GET shows."""
    course = f"/c/{COURSE}"
    yield Visit("first", "/")
    yield Visit("course", course)
    yield Visit("cohort", f"{course}/later")
    yield Visit("closed", f"{course}/full")
    yield Visit("embed", f"{course}/embed", framed=True)
    yield Visit("no page", "/nothing", status=404)
    yield Visit("no course", "/c/nothing", status=404)
    yield Visit("no link", "/manage/nobody-at-all", status=404, private=True)
    for name, path in people.confirm.items():
        yield Visit(f"confirm, {name}", path, private=True)
    for name, token in people.tokens.items():
        yield Visit(f"own page, {name}", f"/manage/{token}", private=True)
        yield Visit(f"leave, {name}", f"/unsubscribe/{token}", private=True)
    for name, path in people.links.items():
        status = 410 if name == "over" else 200
        yield Visit(f"link, {name}", path, status=status, private=True)
    for door in ("manage", "unsubscribe", "confirm", "link"):
        yield Visit(f"sample, {door}", f"/{door}/{TOKEN}", private=True)


def lesson(people: Cast) -> Visit:
    """A mail to be read again: it has the mails' own policy."""
    path = f"/manage/{people.tokens['active']}/lesson/welcome"
    return Visit("lesson", path, private=True)


def presses(people: Cast) -> Iterator[Visit]:
    """What pressing shows, in an order in which each can happen."""
    course, own = f"/c/{COURSE}", people.tokens["active"]
    yield Visit("form error", f"{course}/signup", {"email": "nonsense"}, 400)
    visitor = {"email": "visitor@example.org"}
    yield Visit("asked once more", f"{course}/signup", visitor)
    token = people.world.form_token()
    yield Visit("sent", f"{course}/signup", visitor | {"token": token}, 202)
    yield Visit("closed to a form", f"{course}/signup", {"email": "v@x.org", "cohort": "full"}, 409)
    yield Visit("own page refuses", f"/manage/{own}/pause", {"until": "x"}, 400, private=True)
    yield Visit("expired, again", f"{people.confirm['expired']}/again", {}, private=True)
    yield Visit("confirmed", people.confirm["asked"], {}, private=True)
    yield Visit("name", people.links["name"], {"name": "Ada"}, private=True)
    yield Visit("erased", people.links["erase"], {}, private=True)
    yield Visit("left", f"/unsubscribe/{own}", {"scope": "course"}, private=True)
    yield Visit("undone", f"/unsubscribe/{own}/undo", {}, private=True)


def addresses_of_mails(people: Cast) -> list[str]:
    """What stands in lessons, confirmations, invitations, reminders, notes and mails with links."""
    found = [*people.confirm.values(), *people.links.values()]
    for row in people.world.rows(Enrollment):
        found += [f"/manage/{row.token}", f"/unsubscribe/{row.token}"]
    return [*found, lesson(people).path, f"/c/{COURSE}"]
