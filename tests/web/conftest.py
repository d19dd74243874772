"""A real application on a real database: the course that comes with the program, published."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import select
from werkzeug.test import TestResponse

from course import cohorts, courses, form_tokens, installation, ledger, sources, tokens
from course.clock import Clock
from course.db import Database, migrate
from course.form_tokens import Purpose
from course.installation import SandboxKeys
from course.models import Base, Cohort, Course, Delivery, Enrollment, Subscriber
from course.sandbox.keys import KeyPair, make_key_pair
from course.settings import SOURCE_ROOT, Settings
from course.states import MessageKind
from course.web.app import create_app

MONDAY = datetime(2030, 1, 7, 10, 0, tzinfo=UTC)
HASH_KEY = "a key for hashes"
SECRET = "a key for links"
COURSE = "job-search"
AUTHOR = "https://www.author.example"


def form_of(html: str) -> tuple[str, dict[str, str]]:
    """Where a page's first form goes, and what it brings when nothing is typed."""
    action, rest = re.findall(r'<form method="post" action="([^"]+)"(.*?)</form>', html, re.S)[0]
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', rest)
    return action, {name: unescape(value) for name, value in hidden}


@dataclass
class World:
    """One installation in sandbox mode, its clock, and a visitor's browser."""

    settings: Settings
    database: Database
    clock_file: Path
    keys: KeyPair
    client: FlaskClient

    @property
    def now(self) -> datetime:
        return Clock(self.clock_file).now()

    def set_time(self, moment: datetime) -> None:
        self.clock_file.write_text(moment.isoformat())

    def sign_up(self, email: str = "ada@example.org", **fields: str) -> TestResponse:
        """As a browser without a script does: what is asked once more is pressed once more."""
        form = {"email": email, "name": "Ada", "zone": "Europe/Berlin"} | fields
        return self.press(self.client.post(f"/c/{COURSE}/signup", data=form))

    def press(self, answer: TestResponse, **fields: str) -> TestResponse:
        """The one button, where a page has nothing else."""
        if answer.status_code != 200:
            return answer
        action, given = form_of(answer.text)
        return self.client.post(action, data=given | fields)

    def sign_up_by_script(self, body: Any, origin: str = AUTHOR) -> TestResponse:
        """From a page of the author's own site."""
        headers = {"Origin": origin}
        return self.client.post(f"/c/{COURSE}/signup", json=body, headers=headers)

    def form_token(self, age: timedelta = timedelta(minutes=1)) -> str:
        """As a page had it that was opened so long ago."""
        return form_tokens.make(Purpose.FORM, datetime.now(UTC) - age, [SECRET])

    def enrollment(self, email: str = "ada@example.org") -> Enrollment:
        """The newest of this address."""
        with self.database.reading() as session:
            return session.scalars(
                select(Enrollment)
                .join(Subscriber)
                .where(Subscriber.email == email)
                .order_by(Enrollment.id.desc())
            ).first()  # type: ignore[return-value]

    def confirm_link(self, email: str = "ada@example.org", made_at: datetime | None = None) -> str:
        signed = tokens.sign("confirm", self.enrollment(email).id, made_at or self.now, [SECRET])
        return f"/confirm/{signed}"

    def join(self, email: str = "ada@example.org", **fields: str) -> str:
        """Sign up and confirm; returns the token of the person's links."""
        assert self.sign_up(email, **fields).status_code == 202
        assert self.client.post(self.confirm_link(email)).status_code == 200
        return self.enrollment(email).token

    def receive(self, slug: str, at: datetime, email: str = "ada@example.org") -> None:
        """The ledger's row of a lesson that the provider took."""
        found = self.enrollment(email)
        row = ledger.Planned(
            enrollment_id=found.id,
            course_id=found.course_id,
            kind=MessageKind.LESSON,
            message_key=slug,
            due_at=at,
            rank=ledger.RANK_WELCOME if slug == "welcome" else ledger.RANK_LESSON,
        )
        with self.database.writing() as session:
            ledger.plan(session, [row], at)
            made = select(Delivery.id).where(
                Delivery.enrollment_id == found.id, Delivery.message_key == slug
            )
            ledger.prove(session, list(session.scalars(made)), at)

    def cohort(self, name: str, **fields: Any) -> None:
        state = fields.pop("state", None)
        with self.database.writing() as session:
            course = session.scalars(select(Course).where(Course.slug == COURSE)).one()
            made = cohorts.create(session, course, name, self.now, **fields)
            made.state = state or made.state

    def set_front(self, **values: Any) -> None:
        with self.database.writing() as session:
            front = session.scalars(select(Cohort).where(Cohort.is_front)).one()
            for name, value in values.items():
                setattr(front, name, value)

    def set_state(self, state: str, email: str = "ada@example.org", **values: Any) -> None:
        number = self.enrollment(email).id
        with self.database.writing() as session:
            found = session.get_one(Enrollment, number)
            found.state = state
            for name, value in values.items():
                setattr(found, name, value)

    def rows(self, model: type[Any]) -> list[Any]:
        with self.database.reading() as session:
            return list(session.scalars(select(model).order_by(*model.__table__.primary_key)))

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, but for what the guard counts."""
        with self.database.reading() as session:
            return {
                table.name: [tuple(row) for row in session.execute(table.select())]
                for table in Base.metadata.sorted_tables
                if table.name not in ("bucket", "used_token", "tally")
            }


@pytest.fixture(scope="session")
def keys() -> KeyPair:
    return make_key_pair()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, keys: KeyPair) -> Path:
    """An installation with the published course; its database is put aside to begin each test."""
    path = tmp_path_factory.mktemp("home")
    (path / "clock").write_text(MONDAY.isoformat())
    url = f"sqlite:///{path / 'fresh.db'}"
    migrate(url)
    database = Database(url)
    with database.writing() as session:
        ours = SandboxKeys(keys.private_pem, keys.public_base64)
        installation.create(session, HASH_KEY, ours, MONDAY)
        courses.apply(session, sources.read(SOURCE_ROOT, COURSE), "tests", MONDAY)
        courses.publish(session, COURSE, MONDAY)
    database.dispose()
    shutil.copy(path / "fresh.db", path / "minicourse.db")
    return path


@pytest.fixture(scope="session")
def app(home: Path) -> Flask:
    """Made once, because compiling templates and statements takes longer than a test."""
    settings = Settings(
        home=home,
        database_url="sqlite:///minicourse.db",
        sendgrid_api_key=None,
        public_url="http://127.0.0.1:8000",
        secret_key=(SecretStr(SECRET),),
        hash_key=SecretStr(HASH_KEY),
        clock_file=home / "clock",
        signup_origins=(AUTHOR,),
    )
    return create_app(settings)


@pytest.fixture
def world(home: Path, keys: KeyPair, app: Flask) -> Iterator[World]:
    site = app.extensions["minicourse"]
    shutil.copy(home / "fresh.db", home / "minicourse.db")
    made = World(site.settings, site.database, home / "clock", keys, app.test_client())
    made.set_time(MONDAY)
    yield made
    site.database.dispose()  # the last connection takes SQLite's own files beside it away
