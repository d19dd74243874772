"""`minicourse db copy`: what it says before, at the end, and the second time."""

import json

from sqlalchemy import URL

from tests import postgres
from tests.commands.conftest import Minicourse
from tests.world import World


def test_the_command_says_what_to_do_next(
    world: World, postgres_server: URL, minicourse: Minicourse
) -> None:
    world.join("ada@example.org")
    with postgres.database(postgres_server, "moved_by_command") as url:
        words = ["db", "copy", "--from", world.settings.database, "--to", url]
        preview = minicourse(*words, "--dry-run", "--json")
        assert json.loads(preview.out)["tables"]["enrollment"] == 1
        assert "Held" not in preview.err
        answer = minicourse(*words)
        assert answer.status == 0, answer.err
        assert "Moved to postgresql+psycopg://" in answer.out
        assert "minicourse.keys >> " in answer.err
        assert "DATABASE_URL" in answer.err
        again = minicourse(*words)
        assert again.status == 1
        assert "is not empty" in again.err


def test_a_url_that_is_none_is_refused_without_its_password(minicourse: Minicourse) -> None:
    answer = minicourse(
        "db", "copy", "--from", "sqlite:///a.db", "--to", "mysql://me:secret@host/x"
    )
    assert answer.status == 2
    assert "postgresql+psycopg://" in answer.err
    assert "secret" not in answer.err
