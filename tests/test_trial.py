"""A lesson sent to its author: the same mail as everybody's, and no trace in the ledger."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select

from course import rendering, sources, suppressions, trial
from course.answers import Answer, Verdict
from course.errors import MinicourseError, ModeError, RefusedError
from course.mailer import Outgoing, payload
from course.models import Delivery, Enrollment, Event, Installation, Request
from course.people import email_hash
from course.preview.desk import Desk
from course.rendering import CompiledCourse
from course.samples import PEOPLE, TOKEN, Sample, sample
from course.sandbox.rules import problems
from course.settings import parse_send_limits
from course.states import SuppressionReason
from tests.world import TAKEN, Provider, World

ME = "me@example.com"
KIM = sample("kim").person


class Postbox(Provider):
    """Takes mail that is in no ledger, too."""

    def send(self, outgoing: Outgoing, real: datetime) -> Answer:
        assert problems(payload(outgoing), real) == []
        self.requests.append(outgoing)
        return self.answer(outgoing)


@pytest.fixture
def post(world: World) -> Postbox:
    world.provider = Postbox()
    return world.provider


@pytest.fixture
def course(world: World) -> CompiledCourse:
    source = sources.read(world.settings.home, "job-search")
    return rendering.load_course("job-search", source.files, world.office.site)


@pytest.fixture
def send(world: World, post: Postbox, course: CompiledCourse) -> Callable[..., Answer]:
    """Test-sends the first lesson to its author."""

    def send(to: str = ME) -> Answer:
        letter = trial.outgoing(world.settings, course, "welcome", KIM, to)
        return trial.send(world.office, letter)

    return send


# The same mail ------------------------------------------------------------------------------------


def delivered(outgoing: Outgoing) -> dict[str, Any]:
    """The request's body with each tag replaced, as the provider does it."""
    body = payload(outgoing)
    (person,) = body["personalizations"]
    tags = person.pop("substitutions", {})

    def merged(text: str) -> str:
        for tag, value in tags.items():
            text = text.replace(tag, value)
        return text

    body["subject"] = merged(body["subject"])
    for part in body["content"]:
        part["value"] = merged(part["value"])
    return body


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a body with its path."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from leaves(inner, f"{path}/{key}")
    else:
        yield path, value


@pytest.mark.parametrize("one", PEOPLE, ids=lambda one: one.key)
def test_preview_test_and_real_mail_are_the_same_but_for_this(
    one: Sample, world: World, post: Postbox, course: CompiledCourse
) -> None:
    enrollment_id = world.join(one.person.email, one.person.name, one.person.zone or None)
    world.tick()
    real = delivered(post.requests[-1])
    trial.send(world.office, trial.outgoing(world.settings, course, "welcome", one.person, ME))
    tested = delivered(post.requests[-1])
    with world.database.reading() as session:
        token = session.get_one(Enrollment, enrollment_id).token

    def as_the_reader(text: Any) -> Any:
        """A sample's links, made those of the reader."""
        for door in ("manage", "unsubscribe"):
            if isinstance(text, str):
                text = text.replace(f"/{door}/{TOKEN}", f"/{door}/{token}")
        return text

    found = {path: as_the_reader(value) for path, value in leaves(tested)}
    sent = dict(leaves(real))
    differs = {path for path in found.keys() | sent if found.get(path) != sent.get(path)}
    assert differs == {
        "/subject",
        "/personalizations/0/to/0/email",
        "/personalizations/0/custom_args/minicourse_delivery",
        "/personalizations/0/custom_args/minicourse_test",
        "/categories/0",
        "/categories/1",
        "/categories/2",
    }
    assert found["/subject"] == f"[Test] {sent['/subject']}"

    home = world.settings.home
    folder = home / "lessons" / "job-search"
    desk = Desk(folder, home, world.office.site, "lessons/job-search/")
    _, sheets = desk.sheets(one.person)
    shown = sheets[0].mail
    assert shown
    assert shown.subject == sent["/subject"]
    text, html = (part["value"] for part in tested["content"])
    assert (shown.text, shown.html) == (text, html)
    assert token not in str(tested)


def test_a_test_is_marked_for_the_reader_and_for_the_provider(
    send: Callable[..., Answer], post: Postbox
) -> None:
    assert send() is TAKEN
    (sent,) = post.requests
    assert sent.subject == "[Test] You have been invited. Should you go?"
    assert sent.categories == ("test", "test/job-search", "test/job-search/welcome")
    (person,) = sent.personalizations
    assert person.to == ME
    assert person.custom_args == {"minicourse_test": "job-search/welcome"}
    assert person.headers["List-Unsubscribe"].endswith(f"/unsubscribe/{TOKEN}>")


# Beside the ledger --------------------------------------------------------------------------------


def test_nothing_but_the_request_is_written_down(world: World, send: Callable[..., Answer]) -> None:
    world.join("kim@example.com", "Kim")
    world.tick()
    before = [(row.id, row.state, row.request_id) for row in world.rows()]
    send()
    world.tick()
    assert [(row.id, row.state, row.request_id) for row in world.rows()] == before
    with world.database.reading() as session:
        request = session.scalars(select(Request).order_by(Request.id.desc())).first()
        assert request
        assert (request.size, request.verdict, request.status) == (1, "accepted", 202)
        used = select(Delivery).where(Delivery.request_id == request.id)
        assert session.scalars(used).first() is None
        assert session.scalars(select(Event)).first() is None


def test_a_database_does_not_become_live_by_a_test(
    world: World, send: Callable[..., Answer]
) -> None:
    send()
    with world.database.reading() as session:
        assert session.get_one(Installation, 1).mode == "sandbox"


def test_send_limit_holds_for_tests_and_counts_them(
    world: World, send: Callable[..., Answer]
) -> None:
    limited = world.settings.model_copy(update={"send_limit": parse_send_limits("2/hour")})
    world.settings = limited
    send()
    send()
    with pytest.raises(RefusedError, match=r"SEND_LIMIT is used up until \d{4}-.* UTC\."):
        send()
    enrollment_id = world.sign_up("kim@example.com")
    world.tick()
    assert [row.state for row in world.rows(enrollment_id)] == ["pending"]


def test_what_was_surely_not_taken_leaves_the_limit_as_it_was(
    world: World, post: Postbox, send: Callable[..., Answer]
) -> None:
    world.settings = world.settings.model_copy(update={"send_limit": parse_send_limits("1/hour")})
    post.answer = lambda _: Answer(Verdict.NOT_TAKEN, 429, detail="429 Too Many Requests")
    with pytest.raises(RefusedError):
        send()
    post.answer = lambda _: TAKEN
    send()


@pytest.mark.parametrize(
    ("reason", "course_id", "is_barred"),
    [
        (SuppressionReason.BOUNCED, None, True),
        (SuppressionReason.COMPLAINED, None, True),
        (SuppressionReason.UNSUBSCRIBED, None, True),
        (SuppressionReason.UNSUBSCRIBED, 1, False),  # an author who tried the link of one course
    ],
)
def test_who_may_not_be_mailed_gets_no_test(
    reason: SuppressionReason,
    course_id: int | None,
    is_barred: bool,
    world: World,
    post: Postbox,
    send: Callable[..., Answer],
) -> None:
    with world.database.writing() as session:
        hashed = email_hash(ME, world.hash_key)
        suppressions.add(session, [hashed], reason, "test", world.clock.course, course_id=course_id)
    if is_barred:
        with pytest.raises(RefusedError, match=f"{ME} may not be mailed: {reason}"):
            send()
    else:
        send()
    assert bool(post.requests) is not is_barred


def test_a_live_database_sends_no_test_to_a_stand_in(
    world: World, post: Postbox, send: Callable[..., Answer]
) -> None:
    with world.database.writing() as session:
        session.get_one(Installation, 1).mode = "live"
    with pytest.raises(ModeError, match="This database is live"):
        send()
    assert not post.requests


# What goes wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [one for one in Verdict if one is not Verdict.ACCEPTED])
def test_the_provider_s_no_is_one_line_with_the_next_step(
    verdict: Verdict, post: Postbox, send: Callable[..., Answer]
) -> None:
    post.answer = lambda _: Answer(verdict, detail="what it said")
    with pytest.raises(RefusedError) as refused:
        send()
    words = str(refused.value)
    assert ": what it said. " in words
    assert "\n" not in words
    assert words.endswith(".")


def test_a_lesson_that_cannot_be_rendered_names_file_and_line(world: World) -> None:
    source = sources.read(world.settings.home, "job-search")
    text = source.files["01-welcome.md"].replace("You have a job.", "{{ jobb }}")
    course = rendering.load_course(
        "job-search", {**source.files, "01-welcome.md": text}, world.office.site, where="here/"
    )
    with pytest.raises(MinicourseError, match=r"^here/01-welcome\.md:9: 'jobb'"):
        trial.outgoing(world.settings, course, "welcome", KIM, ME)
