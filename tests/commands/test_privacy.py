"""`minicourse subscriber erase`, `consents`, `export --gdpr`."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from course.models import Subscriber
from course.sandbox.state import Sandbox
from tests.commands.conftest import Minicourse
from tests.world import World

KIM = "kim.sample@example.com"


@pytest.fixture(autouse=True)
def _nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that comes is a no."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))


def bytes_of(world: World) -> bytes:
    path = world.settings.database_path
    assert path is not None
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


def test_erase_says_what_it_would_do_asks_and_does_it(world: World, minicourse: Minicourse) -> None:
    world.join(KIM, "Kim Sample")
    world.join("robin@example.com")
    answer = minicourse("subscriber", "erase", KIM, "--dry-run")
    assert (answer.status, answer.out) == (0, f"{KIM} would be erased; 1 course would end\n")
    assert KIM.encode() in bytes_of(world)
    assert minicourse("subscriber", "erase", KIM).status == 1, "nobody said yes"
    world.database.dispose()
    answer = minicourse("subscriber", "erase", KIM, "--yes")
    assert (answer.status, answer.out) == (0, f"{KIM} is erased; 1 course ended\n")
    assert f"{world.settings.home}/erased" in answer.err
    for trace in (KIM, "Kim Sample", "kim.sample"):
        assert trace.encode() not in bytes_of(world)
    assert b"robin@example.com" in bytes_of(world)


def test_a_backup_that_still_holds_the_person_is_named(
    world: World, minicourse: Minicourse
) -> None:
    world.join(KIM, "Kim Sample")
    folder = world.settings.home / "backups"
    assert minicourse("db", "backup", f"{folder}/").status == 0
    answer = minicourse("subscriber", "erase", KIM, "--yes")
    (file,) = folder.glob("*.db")
    assert str(file) in answer.err.replace("\n", "")


def test_erasing_again_is_no_mistake_and_a_stranger_is_one(
    world: World, minicourse: Minicourse
) -> None:
    world.join(KIM)
    minicourse("subscriber", "erase", KIM, "--yes")
    again = minicourse("subscriber", "erase", KIM, "--yes").out
    assert again == f"{KIM} is erased; 0 courses ended\n"
    answer = minicourse("subscriber", "erase", "nobody@example.com", "--yes")
    assert (answer.status, answer.out) == (1, "")
    assert "minicourse subscriber list" in answer.err


def test_sendgrid_is_asked_too_also_when_the_person_is_gone_here(
    world: World, minicourse: Minicourse, sandbox: Sandbox
) -> None:
    world.join(KIM)
    for _ in range(2):
        assert minicourse("subscriber", "erase", KIM, "--at-sendgrid", "--yes").status == 0
    assert sandbox.config.account.erased == [KIM, KIM]
    sandbox.config.account.scopes = ("mail.send",)
    answer = minicourse("subscriber", "erase", KIM, "--at-sendgrid", "--yes")
    assert answer.status == 1
    assert "recipients.erasejob.create" in answer.err
    assert f"minicourse subscriber erase {KIM} --at-sendgrid" in answer.err


def test_everything_that_is_held_comes_as_json(
    world: World, minicourse: Minicourse, tmp_path: Path
) -> None:
    world.join(KIM, "Kim Sample")
    found = json.loads(minicourse("subscriber", "export", "--gdpr", KIM).out)
    assert found["person"]["name"] == "Kim Sample"
    assert found["enrollments"][0]["mails"][0]["kind"] == "confirmation"
    target = tmp_path / "kim.json"
    minicourse("subscriber", "export", "--gdpr", KIM, "--output", str(target))
    assert json.loads(target.read_text()) == found
    assert target.stat().st_mode & 0o077 == 0
    words = ("subscriber", "export", "--gdpr", KIM, "--state", "active")
    assert minicourse(*words).status == 2


def test_consents_are_listed_with_the_words_that_are_still_known(
    world: World, minicourse: Minicourse
) -> None:
    from course import consents, courses, joining
    from course.joining import Origin, Wording
    from course.web import texts

    number = world.join(KIM)
    with world.database.writing() as session:
        curriculum = courses.live(session, "job-search").curriculum
        agreed = consents.agreement(texts.load(world.settings.home, "en"), "signup", curriculum)
        for wording in (agreed.wording, Wording("0", "f" * 64)):
            joining.consent(session, [number], "asked", Origin("form", wording), world.clock.course)
    found: list[dict[str, Any]] = json.loads(minicourse("subscriber", "consents", "--json").out)
    assert [one["wording"] for one in found] == [None, agreed.words, None, None]
    assert {one["act"] for one in found} == {"asked", "confirmed"}
    assert json.loads(minicourse("subscriber", "consents", KIM, "--json").out) == found
    assert len(minicourse("subscriber", "consents", "--limit", "1").out.splitlines()) == 2
    assert minicourse("subscriber", "consents", "--course", "job-search").out
    minicourse("subscriber", "erase", KIM, "--yes")
    found = json.loads(minicourse("subscriber", "consents", "--json").out)
    assert {one["email"] for one in found} == {None}


def test_an_erased_person_is_nobody_for_every_other_command(
    world: World, minicourse: Minicourse
) -> None:
    world.join(KIM)
    minicourse("subscriber", "erase", KIM, "--yes")
    assert minicourse("subscriber", "show", KIM).status == 1
    with world.database.reading() as session:
        assert session.query(Subscriber).count() == 1, "the numbers stay"
