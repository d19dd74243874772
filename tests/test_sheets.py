"""Lists of people as others write them: which column is what, and whom they would not mail."""

import pytest

from course import curriculum, formats, sources
from course.doubles import Double, Doubles
from course.enrollment import Person
from course.errors import InvalidInputError
from course.settings import SOURCE_ROOT
from course.sheets import Bad, Elsewhere, Item, Reading, Row, Sheet, lesson_at, tags_in
from course.states import SuppressionReason

_FILES = dict(sources.read(SOURCE_ROOT, "job-search").files)
_FILES["course.toml"] += (
    '\n[fields.city]\n[fields.vip]\ntype = "yes-no"\n[fields.status]\n[fields.state]\n'
)
COURSE = curriculum.parse("job-search", sources.read(SOURCE_ROOT, "job-search").files)
WITH_FIELDS = curriculum.parse("job-search", _FILES)
SECOND = COURSE.lessons[1].slug


def sheet(text: str, reading: Reading | None = None, course: curriculum.Course = COURSE) -> Sheet:
    return Sheet(iter(text.splitlines(keepends=True)), course, reading)


def read(text: str, reading: Reading | None = None) -> list[Item]:
    return list(sheet(text, reading))


def one(text: str, reading: Reading | None = None, course: curriculum.Course = COURSE) -> Row:
    (row,) = sheet(text, reading, course)
    assert isinstance(row, Row), row
    return row


@pytest.mark.parametrize(
    "text",
    [
        "email,name,zone\nann@example.com,Ann,Europe/Paris\n",
        "Zone;E-Mail;EMAIL ;Name\nEurope/Paris;x;ann@example.com;Ann\n",  # as Excel may write it
        "email\tname\tzone\nann@example.com\tAnn\tEurope/Paris\n",  # out of a spreadsheet
        "email\tname, first\tname\tzone\nann@example.com\tx\tAnn\tEurope/Paris\n",
        'email,"name",zone\r\nann@example.com,"Ann",Europe/Paris\r\n',
        "email,name,zone\n\n ann@example.com , Ann ,Europe/Paris",
    ],
)
def test_a_sheet_is_read_whatever_wrote_it(text: str) -> None:
    assert one(text).person == Person("ann@example.com", "Ann", "Europe/Paris")


def test_a_quotation_mark_that_never_ends_takes_only_its_own_row() -> None:
    found = read('email,name\na@example.com,"A" b\nb@example.com,B\nc@example.com,"C\n')
    assert [type(item) for item in found] == [Bad, Row, Bad]
    assert [item.line for item in found] == [2, 3, 4]


def test_an_empty_file_has_no_address_column() -> None:
    with pytest.raises(InvalidInputError, match="empty"):
        sheet("")


# Columns ------------------------------------------------------------------------------------------


def test_the_author_says_which_column_is_what() -> None:
    text = "E-mail Address,First Name,Name,Where,Labels\nann@example.com,Ann,Lee,Asia/Tokyo,a\n"
    maps = {"email": "e-mail address", "first_name": "First Name", "last_name": "Name"}
    row = one(text, Reading({**maps, "zone": "Where", "tags": "Labels", "name": ""}))
    assert row == Row(2, Person("ann@example.com", "Ann Lee", "Asia/Tokyo"), ("a",))


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({"mail": "email"}, "'mail': there is only email, name"),
        ({"name": "First"}, "no column 'First'; there is: email, name"),
        ({"email": ""}, "No column `email`"),
    ],
)
def test_a_map_that_leads_nowhere_is_refused(maps: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        sheet("email,name\n", Reading(maps))


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        ("", ()),
        ("one", ("one",)),
        ("one, two,one", ("one", "two")),
        ('"VIP","Blog, old"', ("VIP", "Blog, old")),
        ("one; two", ("one", "two")),
        ("one|two words", ("one", "two words")),
        ('"a;b"', ("a;b",)),
        ('a "b", c', ('a "b"', "c")),
    ],
)
def test_tags_are_read_however_they_are_joined(cell: str, tags: tuple[str, ...]) -> None:
    assert tags_in(cell) == tags


@pytest.mark.parametrize("text", ["2", SECOND])
def test_a_lesson_is_named_or_numbered(text: str) -> None:
    assert lesson_at(COURSE, text) == SECOND
    row = one(f"email,start_at\nann@example.com,{text}\n", Reading(start_at="3"))
    assert row.start_at == SECOND
    assert one("email\nann@example.com\n", Reading(start_at=text)).start_at == SECOND


@pytest.mark.parametrize("text", ["0", "8", "nope", "-1"])
def test_a_lesson_that_is_not_there_takes_only_its_row(text: str) -> None:
    bad, good = read(f"email,start_at\nann@example.com,{text}\nbob@example.com,\n")
    assert isinstance(bad, Bad)
    assert bad.reason.startswith(f"“{text}” is no lesson of job-search; write its number, 1 to 7")
    assert isinstance(good, Row)


# Other services' exports --------------------------------------------------------------------------

MAILCHIMP = (
    "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,CONFIRM_TIME,TIMEZONE,"
    "LEID,EUID,NOTES,TAGS,UNSUB_TIME\n"
    "ann@example.com,Ann,Lee,2,2020-02-03 04:05:06,,Asia/Tokyo,1,a1,,"
    '"""VIP"",""Blog""",\n'
)
KIT = "first_name,email,created_at,status,tags\nAnn Lee,ann@example.com,2022-09-10,active,VIP\n"
MAILERLITE = (
    "Subscriber,Name,Last name,Sent,Opens,Clicks,Subscribed,Timezone,Groups\n"
    "ann@example.com,Ann,Lee,4,1,0,2021-05-06 07:08:09,+02:00,VIP\n"
)
LISTMONK = (
    "uuid,email,name,attributes,status,created_at,updated_at\n"
    'u-1,ann@example.com,Ann Lee,"{""city"": ""Rome"", ""vip"": true, ""x"": {}}",enabled,,\n'
)
EXPORTS = {"mailchimp": MAILCHIMP, "kit": KIT, "mailerlite": MAILERLITE, "listmonk": LISTMONK}


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_recognised_and_read(name: str) -> None:
    found = sheet(EXPORTS[name], course=WITH_FIELDS)
    assert found.format.name == name
    (row,) = found
    assert isinstance(row, Row)
    assert (row.person.email, row.person.name) == ("ann@example.com", "Ann Lee")
    assert row.tags == {"mailchimp": ("VIP", "Blog"), "listmonk": ()}.get(name, ("VIP",))
    # What is no zone here is no fault of the list's.
    assert row.person.zone == ("Asia/Tokyo" if name == "mailchimp" else None)
    assert row.person.fields == ('{"city":"Rome","vip":true}' if name == "listmonk" else "")


def test_nothing_is_recognised_where_the_author_forbids_it() -> None:
    assert sheet(KIT, Reading(form="none")).format is formats.PLAIN
    assert sheet("email,name\n", Reading(form="listmonk")).format.name == "listmonk"


@pytest.mark.parametrize(
    ("word", "why", "bars"),
    [
        ("unsubscribed", "unsubscribed there", SuppressionReason.UNSUBSCRIBED),
        ("Cancelled", "unsubscribed there", SuppressionReason.UNSUBSCRIBED),
        ("bounced", "bounced there", SuppressionReason.BOUNCED),
        ("cleaned", "bounced there", SuppressionReason.BOUNCED),
        ("complained", "complained there", SuppressionReason.COMPLAINED),
        ("junk", "complained there", SuppressionReason.COMPLAINED),
        ("blocklisted", "blocked there", SuppressionReason.MANUAL),
        ("inactive", "never confirmed there", None),
        ("unconfirmed", "never confirmed there", None),
        ("disabled", "not subscribed there", None),
        ("cold", "“cold” may not mean subscribed; if it is no standing: --map status=", None),
    ],
)
@pytest.mark.parametrize("header", ["first_name,email,created_at,status", "a,email,b,status"])
def test_whom_the_old_list_would_not_mail_is_not_taken(
    header: str, word: str, why: str, bars: SuppressionReason | None
) -> None:
    (item,) = read(f"{header}\nAnn,ann@example.com,x,{word}\n")
    assert isinstance(item, Elsewhere)
    assert (item.standing.why, item.standing.bars) == (why, bars)


def test_a_column_that_is_no_standing_may_be_left_out() -> None:
    assert one("email,status\nann@example.com,gold\n", Reading({"status": ""}))


@pytest.mark.parametrize(
    ("text", "file_name", "why"),
    [
        (MAILCHIMP.rstrip("\n") + "2024-01-01\n", "", "unsubscribed there"),
        (MAILCHIMP, "unsubscribed_email_audience_export_1.csv", "unsubscribed there"),
        (MAILCHIMP, "cleaned_email_audience_export_1.csv", "bounced there"),
        (MAILCHIMP, "nonsubscribed_email_audience_export_1.csv", "not subscribed there"),
        (KIT, "unconfirmed.csv", "never confirmed there"),
    ],
)
def test_a_mark_or_the_files_name_says_it_too(text: str, file_name: str, why: str) -> None:
    (item,) = read(text, Reading(file_name=file_name))
    assert isinstance(item, Elsewhere)
    assert item.standing.why == why
    assert one(MAILCHIMP, Reading(file_name="subscribed_email_audience_export_1.csv"))


def test_a_field_of_the_course_is_not_how_somebody_stands_in_an_export() -> None:
    (gone,) = sheet(KIT.replace("active", "bounced"), course=WITH_FIELDS)
    assert isinstance(gone, Elsewhere)
    ours = one("email,status\nann@example.com,gold\n", course=WITH_FIELDS)
    theirs = "email,course,cohort,state,received,lessons,field_status,field_state\n"
    row = one(f"{theirs}ann@example.com,c,c,active,1,2,gold,x\n", course=WITH_FIELDS)
    assert (ours.person.fields, row.person.fields) == (
        '{"status":"gold"}',
        '{"state":"x","status":"gold"}',
    )


# Spreadsheets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-x", "'-x"),
        ("@a", "'@a"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("'=x", "''=x"),
        ("O'Neil", "O'Neil"),
        ("'tis", "'tis"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula_and_all_come_back(text: str, safe: str) -> None:
    assert formats.defused(text) == safe
    assert formats.fused(safe) == text


# Who stands there twice ---------------------------------------------------------------------------


def test_of_a_persons_rows_the_first_good_one_counts_and_the_rest_is_told() -> None:
    text = (
        "email,zone,status\n"
        "ann@example.com,Mars/North,\n"
        "ann@example.com,,\n"
        "ANN@example.com,,\n"
        "bob@example.com,,unsubscribed\n"
        "bob@example.com,,\n"
        "cy@example.com,,\n"
        "cy@example.com,,bounced\n"
    )
    with Doubles() as doubles:
        first = doubles.sift(read(text)[:3])
        rest = doubles.sift(read(text)[3:])
    assert [(type(item), item.line) for item in first.items] == [(Bad, 2), (Row, 3)]
    assert (first.mended, first.twice) == ([Double(3, 2)], [Double(4, 3)])
    assert [(type(item), item.line) for item in rest.items] == [
        (Elsewhere, 5),
        (Row, 7),
        (Elsewhere, 8),
    ]
    assert rest.against == [Double(6, 5), Double(8, 7)]
