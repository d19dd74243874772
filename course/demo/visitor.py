"""A visitor with a browser of the plainest kind: reads a page's form, fills it in, sends it."""

from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPConnection
from urllib.parse import urlencode, urljoin, urlsplit

from course.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Page:
    url: str
    status: int
    html: str

    def submit(self, **fields: str) -> "Page":
        """Send the page's form: what it holds itself, and what a person types."""
        form = _FormReader()
        form.feed(self.html)
        if form.action is None:
            raise RefusedError(f"{self.url} (status {self.status}) shows no form to send.")
        return post(urljoin(self.url, form.action), {**form.given, **fields})

    def sign_up(self, **fields: str) -> "Page":
        """Whoever is quicker than people are presses once more."""
        answer = self.submit(**fields)
        return answer.submit() if answer.status == 200 else answer


def get(url: str) -> Page:
    return _request("GET", url)


def post(url: str, fields: Mapping[str, str]) -> Page:
    return _request("POST", url, urlencode(fields))


def _request(method: str, url: str, body: str | None = None) -> Page:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=10)
    try:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        connection.request(method, parts._replace(scheme="", netloc="").geturl(), body, headers)
        answer = connection.getresponse()
        return Page(url, answer.status, answer.read().decode())
    finally:
        connection.close()


class _FormReader(HTMLParser):
    """The first form that is posted: its address, and the values it brings along."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.given: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form" and found.get("method") == "post" and self.action is None:
            self.action = found.get("action") or ""
        name = found.get("name")
        if tag == "input" and name and found.get("type") == "hidden":
            self.given[name] = found.get("value") or ""
