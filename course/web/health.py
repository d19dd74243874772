"""Is this process able to serve? Asked by supervisors and load balancers."""

from flask import Blueprint, Response
from sqlalchemy import text

from course.web.site import site

health = Blueprint("health", __name__)


@health.get("/healthz")
def healthz() -> Response:
    with site().database.reading() as session:
        session.execute(text("SELECT 1 FROM installation"))
    return Response("ok\n", mimetype="text/plain", headers={"Cache-Control": "no-store"})
