"""`minicourse db copy`: what it says before, at the end, and the second time."""

import json
from pathlib import Path

import pytest
from sqlalchemy import URL

from course import holds, relocating
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


def test_a_source_that_is_none_is_the_one_that_is_named(
    minicourse: Minicourse, tmp_path: Path
) -> None:
    source, target = tmp_path / "latin.csv", tmp_path / "new.db"
    source.write_text("email\n" * 200)
    answer = minicourse(
        "db", "copy", "--from", f"sqlite:///{source}", "--to", f"sqlite:///{target}"
    )
    assert answer.status == 1
    assert f"Cannot open the database {source}: file is not a database" in answer.err
    assert str(target) not in answer.err
    assert not target.exists()


def test_a_target_that_cannot_be_opened_is_named(
    world: World, minicourse: Minicourse, tmp_path: Path
) -> None:
    target = tmp_path / "full.db"
    target.write_text("email\n" * 200)
    words = ("db", "copy", "--from", world.settings.database, "--to", f"sqlite:///{target}")
    assert f"Cannot open the database {target}: " in minicourse(*words).err


def test_a_copy_that_is_broken_off_says_how_it_stands(
    world: World, minicourse: Minicourse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.join("ada@example.org")
    target = f"sqlite:///{tmp_path / 'new.db'}"
    words = ("db", "copy", "--from", world.settings.database, "--to", target)

    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    def why() -> str:
        with world.database.reading() as session:
            (hold,) = holds.standing(session)
            return hold.why

    for step in ("copy", "_bring_to_life"):
        with monkeypatch.context() as patch:
            patch.setattr(relocating, step, break_off)
            answer = minicourse(*words)
        assert answer.status == 1
        assert "Broken off: " in answer.err
        assert "neither sends. Run the same command again" in answer.err
        assert "minicourse send release 1" in answer.err
        assert why().startswith("being moved to ")
    assert minicourse(*words).status == 0
    assert why().startswith("moved to ")
