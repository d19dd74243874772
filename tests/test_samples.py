"""The made-up readers: what each of them stands for."""

import pytest

from course.errors import NotFoundError
from course.people import FIELD_LIMIT, clean
from course.samples import PEOPLE, TOKEN, Sample, sample


def test_each_way_in_which_readers_differ_has_one() -> None:
    assert sample("nameless").person.name == ""
    assert sample("nameless").person.zone == ""
    assert len(sample("long").person.name) == FIELD_LIMIT
    assert sample("rtl").person.name.isascii() is False
    assert "<script>" in sample("script").person.name
    assert sample("faraway").person.zone != sample("kim").person.zone


def test_keys_and_addresses_are_all_different() -> None:
    assert len({one.key for one in PEOPLE}) == len(PEOPLE)
    assert len({one.person.email for one in PEOPLE}) == len(PEOPLE)


@pytest.mark.parametrize("one", PEOPLE, ids=lambda one: one.key)
def test_a_sample_could_have_come_through_the_form(one: Sample) -> None:
    assert clean(one.person.name) == one.person.name


@pytest.mark.parametrize("one", PEOPLE, ids=lambda one: one.key)
def test_no_sample_has_a_token_that_could_be_a_reader_s(one: Sample) -> None:
    assert {one.person.token, one.person.confirm_token} == {TOKEN}
    assert len(TOKEN) < 8  # the pages ask the database for longer ones only


def test_an_unknown_key_names_those_that_there_are() -> None:
    with pytest.raises(NotFoundError, match="'nope'; there are: kim, nameless, long, rtl"):
        sample("nope")
