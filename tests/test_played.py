"""A rehearsal of going live goes only where it cannot be mistaken for the real thing."""

import pytest

from course import going_live, played
from course.errors import RefusedError
from course.settings import Settings
from tests.real import real_settings
from tests.world import World

NOBODY = "http://127.0.0.1:1"


def stage(world: World, settings: Settings) -> None:
    with world.database.reading() as session:
        played.stage(session, settings)


def test_a_live_database_is_no_place_to_rehearse(world: World) -> None:
    settings = real_settings(world.settings.home)
    going_live.go_live(world.database, settings, [], world.clock.course)
    with pytest.raises(RefusedError, match="This database is live: there is nothing to rehearse"):
        stage(world, settings)


def test_nor_are_settings_by_which_mail_goes_to_sendgrid(world: World) -> None:
    with pytest.raises(RefusedError, match="SENDGRID_API_KEY is set, so that mail goes to SendG"):
        stage(world, real_settings(world.settings.home))


def test_without_a_sandbox_nothing_plays_along(world: World) -> None:
    settings = Settings(home=world.settings.home, sendgrid_host=NOBODY)
    with pytest.raises(
        RefusedError, match=r"plays along at http.*: minicourse up; if .* few seconds"
    ):
        stage(world, settings)


def test_an_address_elsewhere_is_taken_as_given_and_never_asked() -> None:
    outside = played.PlayedOutside(Settings(home="/", sendgrid_host=NOBODY))
    assert outside.page("https://course.invalid/healthz").text == "ok"
