"""Addresses: in which inbox each of them ends."""

import pytest

from course.people import email_hash, mailbox_hash, mailbox_of


@pytest.mark.parametrize(
    ("email", "inbox"),
    [
        ("kim@example.org", "kim@example.org"),
        ("kim+news@example.org", "kim@example.org"),
        ("kim+a+b@example.org", "kim@example.org"),
        ("KIM+News@Example.org", "kim@example.org"),
        ("kim.lee@example.org", "kim.lee@example.org"),  # a dot tells two people apart
        ("kim-lee@example.org", "kim-lee@example.org"),
        ("k.i.m+x@gmail.com", "kim@gmail.com"),
        ("k.im@googlemail.com", "kim@gmail.com"),
        ("k.im@gmail.com.example.org", "k.im@gmail.com.example.org"),
        ("+tag@example.org", "+tag@example.org"),  # nothing is left without it
        ("+a.b@gmail.com", "+ab@gmail.com"),
    ],
)
def test_an_address_ends_in_an_inbox(email: str, inbox: str) -> None:
    assert mailbox_of(email) == inbox
    assert mailbox_of(inbox) == inbox


def test_a_plain_address_is_known_by_one_hash_and_its_variants_by_the_same() -> None:
    assert mailbox_hash("kim+a@example.org", "key") == email_hash("kim@example.org", "key")
    assert mailbox_hash("kim+a@example.org", "key") != mailbox_hash("kim+a@example.org", "other")
