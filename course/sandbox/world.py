"""What a rehearsal of going live asks beside SendGrid's own API: the name servers, which the
stand-in plays, and what became of what it posted."""

from flask import Blueprint, Response, jsonify

from course.sandbox.state import sandbox

world = Blueprint("world", __name__, url_prefix="/api/world")


@world.get("/names/<kind>/<name>")
def names(kind: str, name: str) -> Response:
    """What is published under a name: the records of the account's domains, and a policy."""
    found = []
    for domain in sandbox().config.account.domains:
        records = [(one["type"], one["host"], one["data"]) for one in domain["dns"].values()]
        records.append(("txt", f"_dmarc.{domain['domain']}", "v=DMARC1; p=none"))
        found += [data for type_, host, data in records if (type_, host) == (kind.lower(), name)]
    return jsonify(found)


@world.get("/told/<argument>")
def told(argument: str) -> Response:
    """When the webhook took a test event; and of the newest mail since that carries this custom
    argument, when it came and whether the webhook took all that was to be told of it."""
    here = sandbox()
    tested_at = here.config.account.tested_at
    mail = here.store.newest_with(argument, tested_at) if tested_at else None
    return jsonify(
        webhook=tested_at.isoformat() if tested_at else None,
        mail=mail.accepted_at.isoformat() if mail else None,
        is_told=bool(mail and here.poster and not here.store.is_waiting(mail.id)),
    )
