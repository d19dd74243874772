"""What SendGrid posts to the webhook after a large sending: signed arrays of mixed events."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import select

from course import installation
from course.db import Database
from course.models import Delivery, Enrollment, Subscriber
from course.packing import DELIVERY_ARGUMENT
from course.sandbox.keys import load_private_key, sign
from tests.bench.learners import COURSE, NOW

EVENTS_A_BODY = 1000  # about 500 KB; SendGrid posts at 768 KB, or after 30 seconds


@dataclass(frozen=True)
class Body:
    """One POST."""

    content: bytes
    signature: str
    timestamp: str
    events: int

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "X-Twilio-Email-Event-Webhook-Signature": self.signature,
            "X-Twilio-Email-Event-Webhook-Timestamp": self.timestamp,
        }


def bodies(database: Database) -> list[Body]:
    """Two events for each mail of the ledger, in disorder, signed with the sandbox's own key."""
    with database.reading() as session:
        ours = installation.get(session)
        mails = session.execute(
            select(Delivery.id, Subscriber.email)
            .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
            .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        )
        dice = random.Random(1)
        events = [event for mail in mails for event in _life(f"{ours.name}-{mail.id}", mail, dice)]
    dice.shuffle(events)
    key, timestamp = load_private_key(ours.sandbox_private_key), str(int(NOW.timestamp()))
    found = []
    for start in range(0, len(events), EVENTS_A_BODY):
        part = events[start : start + EVENTS_A_BODY]
        content = orjson.dumps(part)
        found.append(Body(content, sign(key, timestamp, content), timestamp, len(part)))
    return found


def _life(reference: str, mail: Any, dice: random.Random) -> Iterator[dict[str, object]]:
    """What is said of one mail: taken by SendGrid, then by the recipient's server."""
    message = f"{dice.getrandbits(128):032x}"
    said: list[tuple[str, dict[str, object]]] = [
        ("processed", {"send_at": 0}),
        ("delivered", {"response": "250 2.0.0 OK: queued", "ip": "192.0.2.1", "tls": 1}),
    ]
    for after, (event, more) in enumerate(said):
        yield {
            "email": mail.email,
            "timestamp": int(NOW.timestamp()) + after,
            "smtp-id": f"<{message}@geopod-ismtpd-1>",
            "event": event,
            "category": [COURSE, f"{COURSE}/welcome"],
            "sg_event_id": f"{dice.getrandbits(128):032x}",
            "sg_message_id": f"{message[:22]}.recvd-canary-6f8d9c-abcde-1-65A3-1.0",
            DELIVERY_ARGUMENT: reference,
            **more,
        }
