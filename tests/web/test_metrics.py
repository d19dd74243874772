"""`/metrics`: what a monitor reads, and who may read it."""

import json
import re
from datetime import timedelta

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import update

from course import installation, metrics
from course.broker import Broker
from course.db import real_now
from course.models import Cohort, Delivery, Enrollment, Hold, Request
from course.settings import SOURCE_ROOT
from tests.web.conftest import World

MONITORING = SOURCE_ROOT / "deploy" / "monitoring"
TOKEN = "a token for monitors"


def read(world: World) -> dict[str, float]:
    """Each sample, as `name` or `name{value of its label}`."""
    answer = world.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_what_was_never_heard_is_missing_and_not_nothing(world: World) -> None:
    found = read(world)
    assert found["minicourse_backlog{due}"] == 0
    for name in ("last_tick_age", "last_event_age", "last_accepted_age", "tick_duration"):
        assert f"minicourse_{name}_seconds" not in found


def test_the_numbers_are_those_of_the_database(world: World) -> None:
    world.join("ada@example.org")
    world.sign_up("kim@example.com")
    with world.database.writing() as session:
        real = real_now(session)
        rows = session.query(Delivery).order_by(Delivery.id).all()
        first, *_ = rows
        first.state, first.unknown_since = "unknown", world.now - timedelta(seconds=70)
        for size, verdict, age in ((5, "accepted", 60), (3, None, 60), (9, "accepted", 7200)):
            sent_at = real - timedelta(seconds=age)
            session.add(
                Request(revision_id=1, size=size, sent_at=sent_at, verdict=verdict, status=202)
            )
        here = installation.get(session)
        here.last_tick_at, here.last_tick_seconds = real - timedelta(seconds=40), 0.25
        here.last_event_at = real - timedelta(seconds=3600)
        session.add(
            Hold(scope="all", kind="manual", why="a test", who="me", since=world.now, probes=0)
        )
    found = read(world)
    assert found["minicourse_mails{unknown}"] == 1
    assert found["minicourse_unknown_age_seconds"] == 70
    assert found["minicourse_mails_last_hour{accepted}"] == 5
    assert found["minicourse_mails_last_hour{unanswered}"] == 3
    assert found["minicourse_tick_duration_seconds"] == 0.25
    assert 40 <= found["minicourse_last_tick_age_seconds"] < 60
    assert 60 <= found["minicourse_event_lag_seconds"] < 90
    assert found["minicourse_holds"] == 1
    assert found["minicourse_sign_ups_last_hour{confirmed}"] == 1
    assert found["minicourse_sign_ups_last_hour{unconfirmed}"] == 1


def test_the_lag_is_that_of_the_oldest_mail_that_may_leave(world: World) -> None:
    world.sign_up("kim@example.com")
    world.set_time(world.now + timedelta(minutes=7))
    found = read(world)
    assert found["minicourse_lag_seconds"] == 420
    assert found["minicourse_backlog{due}"] == found["minicourse_mails{pending}"] == 1
    with world.database.writing() as session:
        session.execute(update(Enrollment).values(state="cancelled"))
    assert read(world)["minicourse_lag_seconds"] == 0


def test_the_lag_grows_while_nobody_plans(world: World) -> None:
    """Without a scheduler learners whose time has come have no row, and wait all the same."""
    world.join("ada@example.org")
    with world.database.writing() as session:
        session.execute(update(Delivery).values(state="cancelled"))
        session.execute(update(Enrollment).values(next_due_at=world.now))
    world.set_time(world.now + timedelta(hours=1))
    found = read(world)
    assert found["minicourse_backlog{late}"] == found["minicourse_backlog{due}"] == 1
    assert found["minicourse_lag_seconds"] == 3600
    with world.database.writing() as session:
        everything = Hold(scope="all", kind="manual", why="a test", who="me", since=world.now)
        session.add(everything)
    assert read(world)["minicourse_lag_seconds"] == 0
    with world.database.writing() as session:
        session.merge(everything).ended_at = world.now
        session.execute(update(Cohort).values(rehearsal_every=5))
    assert read(world)["minicourse_lag_seconds"] == 0


# Who may ask --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.7", {}, 403),
        ("192.0.2.7", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("192.0.2.7", {"Host": "127.0.0.1:8000"}, 403),
        # A proxy on this machine passes a stranger on, whatever the stranger wrote.
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"X-Real-IP": "127.0.0.1"}, 403),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 403),
        ("127.0.0.1", {"Host": "course.example.com"}, 403),
        ("127.0.0.1", {"Host": "[::1]:8000"}, 200),
        # Without the setting no token opens anything.
        ("192.0.2.7", {"Authorization": "Bearer "}, 403),
        ("192.0.2.7", {"Authorization": "Bearer None"}, 403),
    ],
)
def test_without_a_token_only_this_machine_may_ask(
    world: World, peer: str, headers: dict[str, str], status: int
) -> None:
    answer = world.client.get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": peer})
    assert answer.status_code == status
    assert ("minicourse_" in answer.text) == (status == 200)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"BEARER {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 403),
        (f"Bearer {TOKEN.upper()}", 403),
        (TOKEN, 403),
        (f"Basic {TOKEN}", 403),
        ("Bearer ä", 403),
        ("", 403),
    ],
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.7"])
def test_with_a_token_who_has_it_may_ask_and_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch, peer: str, given: str, status: int
) -> None:
    site = world.client.application.extensions["minicourse"]
    settings = site.settings.model_copy(update={"metrics_token": SecretStr(TOKEN)})
    changed = type(site)(settings, site.database, site.clock)
    monkeypatch.setitem(world.client.application.extensions, "minicourse", changed)
    answer = world.client.get(
        "/metrics", headers={"Authorization": given}, environ_base={"REMOTE_ADDR": peer}
    )
    assert answer.status_code == status


# Rules and dashboard ------------------------------------------------------------------------------


def expressions() -> list[str]:
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    board = json.loads((MONITORING / "grafana.json").read_text())
    return [
        *(rule["expr"] for group in rules["groups"] for rule in group["rules"]),
        *(target["expr"] for panel in board["panels"] for target in panel["targets"]),
    ]


def test_every_metric_that_rules_and_dashboard_name_exists(world: World) -> None:
    with world.database.writing() as session:
        here = installation.get(session)
        here.last_tick_at = here.last_event_at = here.last_accepted_at = real_now(session)
        here.last_tick_seconds = 1
    found = read(world)
    names = {name.partition("{")[0] for name in found}
    names |= {one.name for one in metrics.of_broker(Broker("redis://host", 3))}
    asked = set()
    for one in expressions():
        named = set(re.findall(r"minicourse_\w+", one))
        assert named <= names or not named - names, named - names
        asked |= named
        for name, value in re.findall(r'(minicourse_\w+)\{\w+="(\w+)"\}', one):
            assert f"{name}{{{value}}}" in found
    assert asked == names


def test_each_rule_says_what_and_what_to_do() -> None:
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["do"].startswith(("minicourse ", "systemctl "))
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_a_rule_that_joins_two_numbers_tells_the_one_that_its_words_are_about() -> None:
    """Of `a and on() b` the value is a's."""
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
    told = {
        rule["annotations"]["summary"]: re.findall(r"minicourse_\w+", rule["expr"])[0]
        for rule in rules
        if " and " in rule["expr"]
    }
    assert told["A hold keeps {{ $value }} mails or more back."] == "minicourse_backlog"
    assert "minicourse_holds" not in told.values()


def test_a_rule_speaks_where_no_scheduler_ever_looked(world: World) -> None:
    """Its left side is there and its right side is not: `unless` lets the left side through."""
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
    (rule,) = (rule for rule in rules if " unless " in rule["expr"])
    left, right = rule["expr"].split(" unless ")
    found = read(world)
    assert (left in found, right in found) == (True, False)
    with world.database.writing() as session:
        installation.get(session).last_tick_at = real_now(session)
    assert right in read(world)
