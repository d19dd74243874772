"""How often something happened, by the hour: one row for each, raised in the transaction in which
it happens."""

from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Executable, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from course.models import Tally
from course.rowsets import run

KEPT = timedelta(days=90)


def note(session: Session, name: str, real: datetime) -> None:
    """Once more."""
    run(session, _one_more, hour=_hour(real), name=name, count=1)


def counts(session: Session, since: datetime) -> dict[str, int]:
    """How often each since the beginning of that hour."""
    query = select(Tally.name, func.sum(Tally.count)).where(Tally.hour >= _hour(since))
    rows = session.execute(query.group_by(Tally.name).order_by(Tally.name))
    return {name: int(total) for name, total in rows}


def sweep(session: Session, real: datetime) -> None:
    session.execute(delete(Tally).where(Tally.hour < real - KEPT))


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


@cache
def _one_more(is_postgresql: bool) -> Executable:
    columns = Tally.__table__.c
    given = {column.name: bindparam(column.name, type_=column.type) for column in columns}
    insert = (postgresql.insert if is_postgresql else sqlite.insert)(Tally).values(given)
    return insert.on_conflict_do_update(
        index_elements=["hour", "name"], set_={"count": Tally.count + 1}
    )
