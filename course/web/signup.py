"""The form's answer: the same words, status and length whoever's address it was."""

from dataclasses import dataclass, replace

from flask import Blueprint, Response, jsonify, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WerkzeugResponse

from course import enrollment, fields, installation
from course.enrollment import Origin, Person
from course.errors import InvalidInputError
from course.fields import InvalidFieldError
from course.people import clean, parse_email
from course.web import zones
from course.web.consent import agreement
from course.web.doors import Door, find_door
from course.web.errors import Closed, wants_json
from course.web.forms import Form, read_form
from course.web.layout import page
from course.web.pages import show_course, show_shut
from course.web.site import site

signup = Blueprint("signup", __name__)


@dataclass(frozen=True, slots=True)
class Mailed:
    """What to look for in the inbox."""

    email: str
    sender_name: str
    sender_email: str
    subject: str


@signup.get("/c/<slug>/signup")
def back_to_page(slug: str) -> WerkzeugResponse:
    """For a form's address that was typed in or kept."""
    return redirect(url_for("pages.course", slug=slug))


@signup.post("/c/<slug>/signup")
def sign_up(slug: str) -> Response:
    form = read_form()
    try:
        email = parse_email(form.email)
    except InvalidInputError:
        return _refuse(slug, form)
    try:
        said = _said(slug, form)
    except InvalidFieldError as error:
        return _refuse_field(slug, form, error)
    person = Person(email, clean(form.name), zones.known(form.zone), fields=said)
    try:
        door = site().database.run(lambda session: _enroll(session, slug, form, person))
    except Closed:
        return _turn_away(slug, form)
    subject = site().confirmation_subject(door.live)
    sender = door.live.curriculum.sender
    mailed = Mailed(email, sender.name, sender.email or site().settings.mail_from, subject)
    return _say_json(door, mailed) if wants_json() else _say(door, mailed, form)


def _turn_away(slug: str, form: Form) -> Response:
    """The form was open when it was shown."""
    if wants_json():
        raise Closed
    with site().database.reading() as session:
        return show_shut(find_door(session, slug, form.cohort), Closed.code)


def _said(slug: str, form: Form) -> str:
    """What the form says of the fields that it asks for; others are not for visitors to set."""
    if not form.fields:
        return ""
    with site().database.reading() as session:
        course = find_door(session, slug, form.cohort).live.curriculum
    asked = {name: text for name, text in form.fields.items() if course.asks_for(name)}
    return fields.pack(fields.read_all(course, asked))


def _refuse_field(slug: str, form: Form, error: InvalidFieldError) -> Response:
    if not wants_json():
        with site().database.reading() as session:
            return show_course(
                find_door(session, slug, form.cohort), form, error.message, error.name
            )
    response = jsonify(error=str(error), field=error.name)
    response.status_code = 400
    return response


def _refuse(slug: str, form: Form) -> Response:
    with site().database.reading() as session:
        door = find_door(session, slug, form.cohort)
        words = site().texts(door.live.curriculum.language)["signup"]
        given = clean(form.email)
        message = words["error_email"] % {"given": given} if given else words["error_empty"]
        if not wants_json():
            return show_course(door, replace(form, email=given), message)
    response = jsonify(error=message, field="email")
    response.status_code = 400
    return response


def _enroll(session: Session, slug: str, form: Form, person: Person) -> Door:
    door = find_door(session, slug, form.cohort)
    if not door.is_open:
        raise Closed
    enrollment.sign_up(
        session,
        door.cohort,
        person,
        _origin(door, form),
        site().now(),
        hash_key=site().hash_key,
        sandbox=installation.is_sandbox(session),
    )
    return door


def _origin(door: Door, form: Form) -> Origin:
    """The words are known where the form names those that we show today. What another page showed,
    or one that was kept since, is not known: then consent rests on the page behind the link."""
    if request.is_json:
        return Origin(request.path)
    curriculum = door.live.curriculum
    wording = agreement(site().texts(curriculum.language), "signup", curriculum).wording
    return Origin(door.path, wording if form.wording == wording.hash else None)


def _say(door: Door, mailed: Mailed, form: Form) -> Response:
    sandbox = site().settings.mail_host if site().settings.sandboxed else None
    shown = replace(form, name=clean(form.name), email=mailed.email)
    return page("sent", 202, live=door.live, mailed=mailed, form=shown, sandbox=sandbox)


def _say_json(door: Door, mailed: Mailed) -> Response:
    words = site().texts(door.live.curriculum.language)["sent"]
    response = jsonify(
        {
            "status": "confirmation sent",
            "message": words["lead"],
            "email": mailed.email,
            "from": f"{mailed.sender_name} <{mailed.sender_email}>",
            "subject": mailed.subject,
            "page": site().settings.public_url + url_for("pages.course", slug=door.live.slug),
        }
    )
    response.status_code = 202
    return response
