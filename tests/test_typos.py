"""Addresses: kept in one form, asked about when they look mistyped, never changed."""

import pytest

from course.people import parse_email
from course.typos import COMMON, suggestion


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("kim@gmial.com", "kim@gmail.com"),
        ("kim@gmail.con", "kim@gmail.com"),
        ("kim@gmal.com", "kim@gmail.com"),
        ("kim+list@gmail.co", "kim+list@gmail.com"),
        ("kim@hotmial.com", "kim@hotmail.com"),
        ("kim@outlok.com", "kim@outlook.com"),
        ("kim@yaho.com", "kim@yahoo.com"),
        ("kim@iclod.com", "kim@icloud.com"),
        ("kim@t-onlin.de", "kim@t-online.de"),
        ("kim@gmx.d", "kim@gmx.de"),
        *((f"kim@{domain}", None) for domain in COMMON),
        ("kim@example.org", None),
        ("kim@uni-bonn.de", None),
        ("kim@xn--bcher-kva.example", None),
        ("kim@ibm.com", None),
        ("kim@bbc.co.uk", None),
    ],
)
def test_a_mistyped_domain_is_asked_about(typed: str, meant: str | None) -> None:
    assert suggestion(typed) == meant


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" Kim@Example.ORG ", "kim@example.org"),
        ("kim+news@example.org", "kim+news@example.org"),
        ("kim@bücher.example.org", "kim@xn--bcher-kva.example.org"),
        ("kim@BÜCHER.example.org", "kim@xn--bcher-kva.example.org"),
        ("kim@xn--bcher-kva.example.org", "kim@xn--bcher-kva.example.org"),
        ("k.i.m@gmail.com", "k.i.m@gmail.com"),
    ],
)
def test_one_person_is_one_address(typed: str, kept: str) -> None:
    assert parse_email(typed) == kept
