"""A sign of life for a service that tells when it stops (healthchecks.io and the like): a GET after
each good tick, `/fail` with the reason while sending is held."""

import logging
import threading
from http.client import HTTPException
from urllib.error import URLError
from urllib.request import Request, urlopen

log = logging.getLogger(__name__)

_EVERY_SECONDS = 60.0
_DEADLINE_SECONDS = 10.0


class Heartbeat:
    """Beats at most once a minute, in a thread of its own: a tick never waits for it."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._beaten_at: float | None = None
        self._last: str | None = None
        self._beating: threading.Thread | None = None

    def beat(self, since_boot: float, trouble: str = "") -> None:
        """`trouble` says why nothing is sent; whatever is new is told at once."""
        is_news = trouble != self._last
        is_early = self._beaten_at is not None and since_boot - self._beaten_at < _EVERY_SECONDS
        if is_early and not is_news:
            return
        if self._beating is not None and self._beating.is_alive():
            return
        self._beaten_at, self._last = since_boot, trouble
        self._beating = threading.Thread(target=self.send, args=(trouble,), daemon=True)
        self._beating.start()

    def send(self, trouble: str = "") -> bool:
        """Whether it was heard."""
        url = f"{self._url}/fail" if trouble else self._url
        if not url.startswith(("http://", "https://")):
            return False
        request = Request(url, data=trouble.encode() or None)  # noqa: S310 (checked above)
        try:
            with urlopen(request, timeout=_DEADLINE_SECONDS) as answer:  # noqa: S310
                return 200 <= int(answer.status) < 300
        except (OSError, URLError, HTTPException, ValueError) as error:
            log.warning("the heartbeat was not heard: %s", type(error).__name__)
            return False
