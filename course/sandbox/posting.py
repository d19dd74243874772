"""Posts waiting events to the webhook: signed, in batches, again while nobody takes them."""

import logging
import threading
import time
from http.client import HTTPConnection, HTTPException
from itertools import accumulate
from urllib.parse import urlsplit

from course.sandbox.config import SandboxConfig
from course.sandbox.keys import load_private_key, sign
from course.sandbox.store import Store

log = logging.getLogger(__name__)

# SendGrid posts at 768 KB, or every 30 s; here nobody has to wait for it.
MAX_BATCH_BYTES = 768_000
MAX_BATCH_EVENTS = 1000
TIMEOUT_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 10.0
GIVE_UP_SECONDS = 24 * 3600.0  # as SendGrid does


class Poster:
    """One background thread; `wake` tells it that events have come."""

    def __init__(self, config: SandboxConfig, store: Store) -> None:
        self._config = config
        self._store = store
        self._has_work = threading.Event()
        self._is_stopping = threading.Event()
        self._failing_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._has_work.set()

    def stop(self) -> None:
        """Return once the post in flight is over; what still waits is posted after a restart."""
        self._is_stopping.set()
        self._has_work.set()
        self._thread.join()

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            self._has_work.clear()  # before looking: what comes after the look is not missed
            if self._is_stopping.is_set():
                return
            batch = self._next_batch()
            if not batch:
                self._has_work.wait()
            elif self._is_posted(batch) or self._is_hopeless():
                self._store.settle_events(up_to=batch[-1][0])
                self._failing_since, pause = None, FIRST_PAUSE_SECONDS
            else:
                self._is_stopping.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _is_hopeless(self) -> bool:
        """Whether the webhook has been away for as long as SendGrid would wait."""
        self._failing_since = self._failing_since or time.monotonic()
        return time.monotonic() - self._failing_since > GIVE_UP_SECONDS

    def _next_batch(self) -> list[tuple[int, bytes]]:
        waiting = self._store.waiting_events(MAX_BATCH_EVENTS)
        sizes = accumulate(len(body) + 1 for _, body in waiting)
        return [
            event
            for event, size in zip(waiting, sizes, strict=True)
            if size < MAX_BATCH_BYTES or event is waiting[0]
        ]

    def _is_posted(self, batch: list[tuple[int, bytes]]) -> bool:
        return post(self._config, b"[" + b",".join(event for _, event in batch) + b"]")


def post(config: SandboxConfig, body: bytes) -> bool:
    """Whether the webhook took it; every 2xx says so, and a redirect is not followed."""
    assert config.webhook_url
    url = urlsplit(config.webhook_url)
    path = url._replace(scheme="", netloc="", fragment="").geturl() or "/"
    connection = HTTPConnection(url.netloc, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", path, body, _signed(config, body))
        status = connection.getresponse().status
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a half-written clock
        log.warning("webhook %s is away: %s", url.geturl(), error)
        return False
    finally:
        connection.close()
    if not 200 <= status < 300:
        log.warning("webhook %s answered %d", url.geturl(), status)
    return 200 <= status < 300


def _signed(config: SandboxConfig, body: bytes) -> dict[str, str]:
    assert config.private_key_pem
    timestamp = str(int(config.clock().timestamp()))
    key = load_private_key(config.private_key_pem)
    return {
        "Content-Type": "application/json",
        "User-Agent": "SendGrid Event API (sandbox)",
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        "X-Twilio-Email-Event-Webhook-Signature": sign(key, timestamp, body),
    }
