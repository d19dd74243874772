"""The ledger: every change of a delivery's state, each ONE conditional, set-based UPDATE whose row
count decides. Nothing here reads a state and writes it later.

The transitions are those of `states.TRANSITIONS`. Course time (`now`) says what is due; real time
(`real`) rules leases and back-off.
"""

from course.ledger.line import Claimed, Crossed, claim, cross
from course.ledger.orders import cancel, cancel_removed, put_off, supersede, withhold
from course.ledger.planned import RANK_LESSON, RANK_WELCOME, RANKS, Planned, pass_over, plan
from course.ledger.rows import lock, look_again
from course.ledger.settled import (
    UNKNOWN_PATIENCE,
    accept,
    doubt,
    fail,
    give_back,
    prove,
    reap,
    reclaim,
)

__all__ = [
    "RANKS",
    "RANK_LESSON",
    "RANK_WELCOME",
    "UNKNOWN_PATIENCE",
    "Claimed",
    "Crossed",
    "Planned",
    "accept",
    "cancel",
    "cancel_removed",
    "claim",
    "cross",
    "doubt",
    "fail",
    "give_back",
    "lock",
    "look_again",
    "pass_over",
    "plan",
    "prove",
    "put_off",
    "reap",
    "reclaim",
    "supersede",
    "withhold",
]
