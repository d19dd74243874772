"""List bombing: ten thousand addresses typed in by scripts from a few networks, through the real
application; and a visitor from elsewhere meanwhile. And that a stop-watch tells nothing."""

import random
import time
from datetime import timedelta
from statistics import median

import pytest

from course.budgets import LIMITS, Scope
from course.models import Delivery, Enrollment
from tests.web.conftest import COURSE, World, app, home, keys, world

__all__ = ["app", "home", "keys", "world"]
pytestmark = pytest.mark.e2e

FORM = f"/c/{COURSE}/signup"
ATTEMPTS, NETWORKS = 10_000, 5
# Of each network its burst, and what it may have in the minutes that this takes.
MOST = NETWORKS * 60


def post(world: World, email: str, network: str, token: str) -> int:
    form = {"email": email, "name": "x", "token": token}
    headers = {"X-Forwarded-For": network}
    return world.client.post(FORM, data=form, headers=headers).status_code


def test_ten_thousand_sign_ups_from_few_networks_lead_to_a_bounded_number_of_mails(
    world: World,
) -> None:
    dice = random.Random(8)
    got_through = []
    for number in range(ATTEMPTS):
        victim = f"victim.{number}@{dice.choice('abcdefgh')}.example.org"
        network = f"198.51.{number % NETWORKS}.{dice.randrange(1, 255)}"
        assert post(world, victim, network, world.form_token()) == 202, "it looks like success"
        if number % 1000 == 500:
            visitor = f"visitor.{number}@example.com"
            assert post(world, visitor, f"203.0.{number // 1000}.9", world.form_token()) == 202
            got_through.append(world.enrollment(visitor) is not None)
    assert got_through == [True] * 10
    mails = world.rows(Delivery)
    assert NETWORKS * 40 <= len(mails) - len(got_through) <= MOST
    assert len(world.rows(Enrollment)) == len(mails)


def test_a_customer_s_ipv6_cannot_keep_a_visitor_from_a_great_provider_s_domain(
    world: World,
) -> None:
    for number in range(1000):
        network = f"2001:db8:7:{number:x}::9"
        victim = f"victim.{number}x@gmail.com"
        assert post(world, victim, network, world.form_token()) == 202, "it looks like success"
    mails = len(world.rows(Delivery))
    assert mails <= LIMITS[Scope.SITE].burst
    assert post(world, "visitor@gmail.com", "203.0.113.9", world.form_token()) == 202
    assert world.enrollment("visitor@gmail.com") is not None
    assert len(world.rows(Delivery)) == mails + 1


def test_one_victim_gets_one_mail_however_often_and_from_wherever(world: World) -> None:
    for number in range(300):
        network = f"10.{number % 256}.{number // 256}.1"
        assert post(world, "victim@example.org", network, world.form_token()) == 202
    assert len(world.rows(Delivery)) == 1


def test_a_stop_watch_does_not_tell_who_was_refused(world: World) -> None:
    """Medians of interleaved tries: a refusal that skipped the work would take about half."""
    times: dict[str, list[float]] = {"taken": [], "refused": []}
    for number in range(40):  # a network that is used up
        post(world, f"a{number:05}@example.org", "198.51.100.1", world.form_token())
    for number in range(250):
        for kind, network in (("taken", f"10.9.{number}.1"), ("refused", "198.51.100.1")):
            email, token = f"{kind}.{number:05}@d{number}.example.org", world.form_token()
            began = time.perf_counter()
            post(world, email, network, token)
            times[kind].append(time.perf_counter() - began)
    assert len(world.rows(Enrollment)) <= 40 + 250 + 5
    ratio = median(times["refused"]) / median(times["taken"])
    assert 0.75 < ratio < 1.33, ratio


def test_a_token_that_was_taken_from_a_page_opens_the_door_once(world: World) -> None:
    token = world.form_token(timedelta(minutes=5))
    statuses = [post(world, f"b{n}@example.org", f"10.8.{n}.1", token) for n in range(20)]
    assert statuses == [202] + [200] * 19
    assert len(world.rows(Enrollment)) == 1
