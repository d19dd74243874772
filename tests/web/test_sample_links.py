"""Where the links of previews and test mails lead."""

import pytest

from course.rendering import Site
from course.samples import sample
from course.web.app import create_app
from course.web.sample_links import sample_links
from tests.web.conftest import World


@pytest.mark.parametrize("field", ["manage_url", "unsubscribe_url", "confirm_url"])
def test_each_link_of_a_sample_answers_and_does_nothing(field: str, world: World) -> None:
    world.join()
    app = create_app(world.settings, world.database)
    if sample_links.name not in app.blueprints:
        app.register_blueprint(sample_links)
    client = app.test_client()
    path = sample("kim").person.values(Site(public_url=""))[field]
    for answer in (client.get(path), client.post(path, data={"List-Unsubscribe": "One-Click"})):
        assert answer.status_code == 200
        assert "The link works" in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
    assert world.enrollment().state == "active"
