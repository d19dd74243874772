"""A real browser and a real server, for the tests that need one."""

import os
import shutil
from collections.abc import Iterator
from threading import Thread

import pytest
from playwright.sync_api import Browser, Error, sync_playwright
from werkzeug.serving import make_server

from .conftest import World


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium where there is one, else Playwright's."""
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
        except Error as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no browser starts here: {error.message.splitlines()[0]}")
        yield chromium
        chromium.close()


@pytest.fixture
def address(world: World) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, world.client.application, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
