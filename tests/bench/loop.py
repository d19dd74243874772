"""What a user would write without this program: a loop over people that renders the lesson, sends
it with SendGrid's own library, and marks the person as done, one by one."""

import time
from dataclasses import dataclass

import orjson
from jinja2 import Environment, Template

from tests.bench.raw import Raw

PEOPLE = 1000


@dataclass(frozen=True)
class Lesson:
    """The very mail that the product sent, as its author would have written it in plain Jinja."""

    sender: str
    subject: Template
    text: Template
    html: Template

    @classmethod
    def of(cls, request: bytes) -> "Lesson":
        """From a recorded request: what is personal in it becomes a variable again."""
        sent = orjson.loads(request)
        first = sent["personalizations"][0]
        name = first["to"][0]["name"]
        token = first["headers"]["List-Unsubscribe"].rstrip(">").rpartition("/")[2]
        text, html = (part["value"] for part in sent["content"])

        def template(mail: str, *, is_html: bool = False) -> Template:
            for tag, value in first["substitutions"].items():
                mail = mail.replace(tag, value)
            source = mail.replace(name, "{{ name }}").replace(token, "{{ token }}")
            jinja = Environment(autoescape=is_html, keep_trailing_newline=True)
            made = jinja.from_string(source)
            assert made.render(name=name, token=token) == mail
            return made

        return cls(
            sent["from"]["email"],
            template(sent["subject"]),
            template(text),
            template(html, is_html=True),
        )


def prepare(raw: Raw) -> None:
    """The user's own table of people."""
    key = "INTEGER PRIMARY KEY" if raw.is_sqlite else "BIGSERIAL PRIMARY KEY"
    raw.execute(f"CREATE TABLE person (id {key}, email TEXT, name TEXT, token TEXT, sent_at TEXT)")
    for number in range(PEOPLE):
        raw.execute(
            "INSERT INTO person (email, name, token) VALUES (?, ?, ?)",
            *(f"learner.{number}@example.org", f"Robin {number}", f"{number:022x}"),
        )
    raw.commit()


def send_for(seconds: float, raw: Raw, lesson: Lesson, host: str) -> float:
    """Mails a second."""
    from sendgrid import SendGridAPIClient
    from sendgrid.helpers.mail import Mail

    client = SendGridAPIClient("SG.a-key", host=host)
    people = raw.execute("SELECT id, email, name, token FROM person ORDER BY id").fetchall()
    raw.commit()
    count, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        number, email, name, token = people[count % PEOPLE]
        message = Mail(
            from_email=lesson.sender,
            to_emails=email,
            subject=lesson.subject.render(name=name, token=token),
            plain_text_content=lesson.text.render(name=name, token=token),
            html_content=lesson.html.render(name=name, token=token),
        )
        client.send(message)
        raw.execute("UPDATE person SET sent_at = ? WHERE id = ?", time.ctime(), number)
        raw.commit()
        count += 1
    return count / elapsed
