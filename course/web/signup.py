"""The form's answer: the same words, status and length whoever's address it was."""

from dataclasses import dataclass, replace

from flask import Blueprint, Response, jsonify, make_response, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WerkzeugResponse

from course import enrollment, fields, installation, mx, typos
from course.consents import agreement
from course.enrollment import Origin, Person
from course.errors import InvalidInputError, UnsendableError
from course.fields import InvalidFieldError
from course.form_tokens import Purpose
from course.people import clean, domain_of, parse_email, shown
from course.urls import origin_of
from course.web import guard, zones
from course.web.doors import Door, find_door
from course.web.errors import Closed, wants_json
from course.web.forms import Form, read_form
from course.web.guard import Verdict
from course.web.headers import let_go_on
from course.web.layout import page
from course.web.pages import show_course, show_shut
from course.web.site import site

signup = Blueprint("signup", __name__)
signup.after_request(guard.allow_origins)


@signup.after_request
def _let_go_on(response: Response) -> Response:
    """Where the form of this answer may lead, once it is sent."""
    if request.method == "POST" and not request.is_json and response.status_code in (200, 400):
        known = guard.known_address(request.form.get("next", ""))
        return let_go_on(response, origin_of(known)) if known else response
    return response


@dataclass(frozen=True, slots=True)
class Mailed:
    """What to look for in the inbox."""

    email: str
    sender_name: str
    sender_email: str
    subject: str
    contact: str  # for whom no mail reaches


@signup.get("/c/<slug>/signup")
def back_to_page(slug: str) -> WerkzeugResponse:
    """For a form's address that was typed in or kept."""
    return redirect(url_for("pages.course", slug=slug))


@signup.post("/c/<slug>/signup")
def sign_up(slug: str) -> WerkzeugResponse:
    form = read_form()
    try:
        email = parse_email(form.email)
    except UnsendableError:
        return _refuse(slug, form, "error_unsendable")
    except InvalidInputError:
        return _refuse(slug, form, "error_email" if clean(form.email) else "error_empty")
    if site().settings.check_mx and mx.is_missing(domain_of(email)):
        return _refuse(slug, form, "error_domain")
    try:
        said = _said(slug, form)
    except InvalidFieldError as error:
        return _refuse_field(slug, form, error)
    person = Person(email, clean(form.name), zones.known(form.zone), fields=said)
    try:
        door, verdict = site().database.run(lambda session: _enroll(session, slug, form, person))
    except Closed:
        return _turn_away(slug, form)
    if not verdict.is_answered_as_success:
        return _ask_once_more(door, form, email)
    if go_on := guard.known_address(form.next):
        return redirect(go_on, 303)
    subject = site().confirmation_subject(door.live)
    sender = door.live.curriculum.sender
    address = sender.email or site().settings.mail_from
    mailed = Mailed(shown(email), sender.name, address, subject, site().contact(door.live))
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


def _refuse(slug: str, form: Form, why: str) -> Response:
    with site().database.reading() as session:
        door = find_door(session, slug, form.cohort)
        words = site().texts(door.live.curriculum.language)["signup"]
        given = clean(form.email)
        message = words[why] % {"given": given, "domain": domain_of(given)}
        if not wants_json():
            return show_course(door, replace(form, email=given), message)
    response = jsonify(error=message, field="email")
    response.status_code = 400
    return response


def _enroll(session: Session, slug: str, form: Form, person: Person) -> tuple[Door, Verdict]:
    """What is refused is done and taken back: the answer takes as long as for anybody."""
    door = find_door(session, slug, form.cohort)
    if not door.is_open:
        raise Closed
    verdict = guard.judge(session, form.proof, person.email)
    if not verdict.is_answered_as_success:
        return door, verdict
    with session.begin_nested() as attempt:
        enrollment.sign_up(
            session,
            door.cohort,
            person,
            _origin(door, form),
            site().now(),
            hash_key=site().hash_key,
            sandbox=installation.is_sandbox(session),
        )
        if verdict is not Verdict.TAKEN:
            attempt.rollback()
    return door, verdict


def _ask_once_more(door: Door, form: Form, email: str) -> Response:
    """To a person it is one button; for a script of a site that we do not know, a page to show."""
    if request.is_json:
        words = site().texts(door.live.curriculum.language)["once_more"]
        answer = {"status": "one more step", "message": words["json"], "page": _page_of(door)}
        return make_response(jsonify(answer), 202)
    kept = replace(form, name=clean(form.name), email=shown(email))
    again = guard.form_token(Purpose.AGAIN)
    return page("once_more", live=door.live, form=kept, token=again)


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
    return page(
        "sent",
        202,
        live=door.live,
        mailed=mailed,
        form=replace(form, name=clean(form.name), email=mailed.email),
        sandbox=sandbox,
        suggestion=typos.suggestion(mailed.email),
        tokens=[guard.form_token(Purpose.AGAIN) for _ in range(3)],
    )


def _say_json(door: Door, mailed: Mailed) -> Response:
    words = site().texts(door.live.curriculum.language)["sent"]
    answer = {
        "status": "confirmation sent",
        "message": words["lead"],
        "email": mailed.email,
        "from": f"{mailed.sender_name} <{mailed.sender_email}>",
        "subject": mailed.subject,
        "page": _page_of(door),
    }
    if meant := typos.suggestion(mailed.email):
        answer["suggestion"] = meant
    return make_response(jsonify(answer), 202)


def _page_of(door: Door) -> str:
    return site().settings.public_url + url_for("pages.course", slug=door.live.slug)
