"""The bare limit: the rows of the ledger taken, crossed and settled by the least SQL that does it,
in the same three durable commits a batch, and the same bytes posted over a connection that stays.

What the product does beyond it is to ask: who may be mailed, whose claim it is, what is held."""

import time
from datetime import timedelta
from http.client import HTTPConnection

from course.processes.ports import address_of
from tests.bench.learners import NOW
from tests.bench.raw import Raw

BATCH = 1000


def send_all(raw: Raw, body: bytes, host: str) -> float:
    """Mails a second, until nothing is pending."""
    connection = HTTPConnection(*address_of(host))
    count, began = 0, time.perf_counter()
    while sent := _send_batch(raw, body, connection):
        count += sent
    elapsed = time.perf_counter() - began
    connection.close()
    return count / elapsed


def _send_batch(raw: Raw, body: bytes, connection: HTTPConnection) -> int:
    now, lease = raw.moment(NOW), raw.moment(NOW + timedelta(minutes=1))
    rows = raw.execute(
        "SELECT id FROM delivery WHERE state = 'pending' AND send_at <= ?"
        " ORDER BY rank, send_at, id LIMIT ?",
        *(now, BATCH),
    ).fetchall()
    if not rows:
        return 0
    ids = raw.ids([row[0] for row in rows])
    which = f"WHERE id {raw.among}"

    raw.execute(
        "UPDATE delivery SET state = 'claimed', claim_token = ?, lease_until = ?, revision_id = 1"
        f" {which}",
        *("a token of twenty-two c", lease, ids),
    )
    raw.commit()

    (request,) = raw.execute(
        "INSERT INTO request (revision_id, size, sent_at, counts_to_limit)"
        " VALUES (1, ?, ?, ?) RETURNING id",
        *(len(rows), now, True),
    ).fetchone()
    raw.execute(f"UPDATE delivery SET state = 'sending', request_id = ? {which}", request, ids)
    raw.commit()

    connection.request("POST", "/v3/mail/send", body, {"Authorization": "Bearer SG.a-key"})
    answer = connection.getresponse()
    answer.read()

    raw.execute(
        "UPDATE delivery SET state = 'accepted', settled_at = ?, claim_token = NULL,"
        f" lease_until = NULL {which}",
        *(now, ids),
    )
    raw.execute(
        "UPDATE request SET answered_at = ?, status = ?, verdict = 'accepted', x_message_id = ?"
        " WHERE id = ?",
        *(now, answer.status, answer.headers["X-Message-Id"], request),
    )
    raw.commit()
    return len(rows)
