"""What a running stand-in consists of, and how its views find it."""

from dataclasses import dataclass
from typing import cast

from flask import current_app

from course.sandbox.config import SandboxConfig
from course.sandbox.posting import Poster
from course.sandbox.store import Store


@dataclass(frozen=True)
class Sandbox:
    config: SandboxConfig
    store: Store
    poster: Poster | None

    def announce_events(self) -> None:
        if self.poster:
            self.poster.wake()

    def close(self) -> None:
        """Stop posting and close the file; the next start goes on where this one ended."""
        if self.poster:
            self.poster.stop()
        self.store.close()


def open_sandbox(config: SandboxConfig) -> Sandbox:
    store = Store(config.store_path, posts_events=bool(config.webhook_url))
    poster = Poster(config, store) if config.webhook_url else None
    if poster:
        poster.start()
    return Sandbox(config, store, poster)


def sandbox() -> Sandbox:
    """The stand-in that the current request is for."""
    return cast(Sandbox, current_app.extensions["sandbox"])
