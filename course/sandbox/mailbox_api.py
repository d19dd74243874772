"""The inbox for scripts and tests, as JSON."""

from typing import Any

from flask import Blueprint, Response, jsonify, request

from course.sandbox.mails import Mail
from course.sandbox.state import sandbox

mailbox_api = Blueprint("mailbox_api", __name__, url_prefix="/api/mails")


@mailbox_api.get("")
def all_mails() -> Response:
    """Newest last; `?to=` keeps those to one address."""
    mails = sandbox().store.mails_to(request.args.get("to") or None)
    return jsonify([as_json(mail) for mail in mails])


@mailbox_api.get("/<int:mail_id>")
def one_mail(mail_id: int) -> Response:
    mail = sandbox().store.mail(mail_id)
    if mail:
        return jsonify(as_json(mail))
    answer = jsonify(error=f"There is no mail {mail_id}; see /api/mails.")
    answer.status_code = 404
    return answer


@mailbox_api.delete("")
def clear() -> Response:
    sandbox().store.clear()
    return Response(status=204)


def as_json(mail: Mail) -> dict[str, Any]:
    return {
        "id": mail.id,
        "to": mail.recipient,
        "from": mail.sender,
        "reply_to": mail.reply_to,
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
        "headers": mail.headers,
        "custom_args": mail.custom_args,
        "categories": mail.categories,
        "attachments": [
            {"filename": file.name, "type": file.type, "size": len(file.content)}
            for file in mail.files
        ],
        "message_id": mail.message_id,
        "accepted_at": mail.accepted_at.isoformat(),
    }
