"""Tags: words that an author keeps with a person, to choose people by."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from course.db import among, insert_ignoring
from course.errors import InvalidInputError
from course.models import Tag
from course.steering import Fate, Judged, Learner, said

_NAME = re.compile(r"[^\W_][\w.:/-]{0,63}")


def read(text: str) -> str:
    """A tag as it is kept; InvalidInputError where it is none."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"{text!r} is no tag; write a word of letters, digits and - . : / _, like vip"
        )
    return name


def of(session: Session, subscriber_id: int) -> list[str]:
    mine = select(Tag.name).where(Tag.subscriber_id == subscriber_id).order_by(Tag.name)
    return list(session.scalars(mine))


def add(session: Session, subscriber_ids: Sequence[int], name: str) -> None:
    """Give them that tag; who has it keeps it."""
    if subscriber_ids:
        values = [{"subscriber_id": number, "name": name} for number in set(subscriber_ids)]
        session.execute(insert_ignoring(session, Tag), values)


@dataclass(frozen=True, slots=True)
class SetTag:
    """The person has that tag."""

    name: str
    action = "subscriber tag"

    def judge(self, session: Session, found: Sequence[Learner], now: datetime) -> list[Judged]:
        del now
        have = _having(session, self.name, found)
        return [
            said(learner, Fate.ALREADY, f"is tagged {self.name} already")
            if learner.person.id in have
            else said(learner, Fate.TOUCHED, f"tagged {self.name}", tag=self.name)
            for learner in _each_once(found)
        ]

    def act(
        self, session: Session, touched: Sequence[Judged], now: datetime
    ) -> Mapping[int, Mapping[str, object]]:
        del now
        add(session, [one.subscriber_id for one in touched], self.name)
        return {}


@dataclass(frozen=True, slots=True)
class DropTag:
    """The person has it no more."""

    name: str
    action = "subscriber untag"

    def judge(self, session: Session, found: Sequence[Learner], now: datetime) -> list[Judged]:
        del now
        have = _having(session, self.name, found)
        return [
            said(learner, Fate.TOUCHED, f"no longer tagged {self.name}", tag=self.name)
            if learner.person.id in have
            else said(learner, Fate.ALREADY, f"is not tagged {self.name}")
            for learner in _each_once(found)
        ]

    def act(
        self, session: Session, touched: Sequence[Judged], now: datetime
    ) -> Mapping[int, Mapping[str, object]]:
        del now
        ids = [one.subscriber_id for one in touched]
        session.execute(
            delete(Tag).where(Tag.name == self.name, among(session, Tag.subscriber_id, ids))
        )
        return {}


def _having(session: Session, name: str, found: Sequence[Learner]) -> set[int]:
    people = {learner.person.id for learner in found}
    mine = select(Tag.subscriber_id).where(
        Tag.name == name, among(session, Tag.subscriber_id, people)
    )
    return set(session.scalars(mine))


def _each_once(found: Sequence[Learner]) -> list[Learner]:
    """A tag is a person's, whatever courses they take."""
    return list({learner.person.id: learner for learner in found}.values())
