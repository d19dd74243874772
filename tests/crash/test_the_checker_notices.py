"""The tests are tested: ledgers that are wrong on purpose do not pass the checker, where the right
one does."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from course import delivery
from tests import checker, realtime, wrong
from tests.crash import scenario
from tests.standin import Taken
from tests.world import World


class PowerCut(BaseException):
    """Ends a tick at once; nothing of the product catches it."""


def cut_at(label: str) -> Callable[[str], None]:
    def reached(step: str) -> None:
        if step == label:
            raise PowerCut

    return reached


def let_leases_end(world: World) -> None:
    with world.database.writing() as session:
        realtime.let_pass(session, scenario.HALF_A_DAY)


def dies_after_the_bytes_have_left(world: World) -> None:
    with pytest.raises(PowerCut):
        delivery.tick(replace(world.office, reached=cut_at("answered")))
    let_leases_end(world)
    world.tick()


def sleeps_before_the_line(world: World) -> None:
    """Another one sends meanwhile."""
    asleep = True

    def sleep(step: str) -> None:
        nonlocal asleep
        if step == "rendered" and asleep:
            asleep = False
            let_leases_end(world)
            world.tick()

    delivery.tick(replace(world.office, reached=sleep))


def is_stopped_after_its_lease(world: World) -> None:
    """It gives back what another one is sending, whose answer is lost."""
    stopping = False

    def sleep(step: str) -> None:
        nonlocal stopping
        if step == "rendered" and not stopping:
            stopping = True
            let_leases_end(world)
            with pytest.raises(PowerCut):
                delivery.tick(replace(world.office, reached=cut_at("answered")))

    delivery.tick(replace(world.office, reached=sleep), lambda: stopping)
    world.tick()


CASES = {
    "lease-over-means-pending": dies_after_the_bytes_have_left,
    "stale-claims-are-sent": sleeps_before_the_line,
    "anyone-settles": is_stopped_after_its_lease,
}


def breaches_after(world: World, case: Callable[[World], None]) -> list[str]:
    world.sign_up("ada@example.org")
    case(world)
    taken = [
        Taken(int(reference.rpartition("-")[2]), world.clock.now(), number)
        for number, reference in enumerate(world.provider.log)
    ]
    assert taken
    with world.database.reading() as session:
        return checker.violations(checker.look(session), taken)


@pytest.mark.parametrize("case", CASES.values())
def test_the_right_ledger_passes(any_world: World, case: Callable[[World], None]) -> None:
    assert breaches_after(any_world, case) == []


@pytest.mark.parametrize("name", wrong.WRONG)
def test_a_wrong_ledger_is_caught(
    any_world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attribute, wrong_one = wrong.WRONG[name]
    monkeypatch.setattr(wrong.room_of(attribute), attribute, wrong_one)
    (breach,) = breaches_after(any_world, CASES[name])
    assert breach.startswith("I1: delivery")
