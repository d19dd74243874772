"""The web application, made by a factory: `course.web.app:create_app`."""

import logging
from typing import Any

from flask import Flask, request
from jinja2 import StrictUndefined

from course import installation
from course.clock import Clock
from course.dates import hour, zone_name
from course.db import Database, open_database
from course.settings import Settings
from course.web import errors, headers, texts
from course.web.again import again
from course.web.confirming import confirming
from course.web.health import health
from course.web.hooks import hooks
from course.web.leaving import leaving
from course.web.openapi import openapi
from course.web.own_page import own_page
from course.web.pages import pages
from course.web.proofs import proofs
from course.web.sample_links import sample_links
from course.web.signup import signup
from course.web.site import Site
from course.web.templates import loader

log = logging.getLogger(__name__)

# A form is some hundred bytes; the webhook has a limit of its own.
LARGEST_BODY = 64 * 1024


class Web(Flask):
    def log_exception(self, exc_info: Any) -> None:
        """By the rule of the address, never the address itself: it may hold a secret."""
        rule = request.url_rule.rule if request.url_rule else "an unknown address"
        log.error("%s %s failed", request.method, rule, exc_info=exc_info)


def create_app(
    settings: Settings | None = None,
    database: Database | None = None,
    clock: Clock | None = None,
) -> Flask:
    """The public web of one installation; by default the one that the environment names."""
    settings = settings or Settings.load()
    # A browser and the provider rather hear "again later" than wait.
    database = database or open_database(settings, patience_seconds=3)
    with database.reading() as session:
        installation.check(session, settings)
    app = Web(__name__)
    # `/c/bread/` is `/c/bread`, and `//` is a mistake. Werkzeug would redirect, to the host that
    # the request claims to have been sent to.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 3600
    app.extensions["minicourse"] = Site(settings, database, clock or Clock(settings.clock_file))
    _set_up_templates(app, settings)
    headers.protect(app)
    errors.explain(app)
    theirs = (confirming, leaving, own_page, again, proofs)
    for blueprint in (pages, signup, *theirs, sample_links, hooks, health, openapi):
        app.register_blueprint(blueprint)
    return app


def _set_up_templates(app: Flask, settings: Settings) -> None:
    """The home's own templates before those that come with the program; all strict, all escaped."""
    app.jinja_loader = loader(settings.home)
    texts.try_out(settings.home)
    app.jinja_options = {
        "autoescape": True,
        "undefined": StrictUndefined,
        "trim_blocks": True,
        "lstrip_blocks": True,
    }
    app.jinja_env.filters["hour"] = hour
    app.jinja_env.filters["zone_name"] = zone_name
