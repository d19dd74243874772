import pytest

from course.sandbox.links import links, shown


def tracked(number: int) -> str:
    return f"/click/7/{number}"


NEW_TAB = 'target="_blank" rel="noopener noreferrer"'
COUNTED = f'href="/click/7/0" {NEW_TAB}'
COMMENT = "<!--[if mso]><a href='https://a.de'><![endif]-->"


@pytest.mark.parametrize(
    ("html", "result"),
    [
        # Everything but links stays as it is, also where it is no good HTML.
        ("<P CLASS=x>a &amp; b &nbsp;<br/>", "<P CLASS=x>a &amp; b &nbsp;<br/>"),
        (COMMENT, COMMENT),
        ("<style>a > b {}</style><p", "<style>a > b {}</style><p"),
        ("<a name=top>x</a>", "<a name=top>x</a>"),
        # A web link goes through the counter, in a new tab; other attributes stay.
        ('<a style="color:red" href="https://a.de">x</a>', f'<a style="color:red" {COUNTED}>x</a>'),
        ("é\n\n <a\nhref=http://a.de target=_top>x</a>!", f"é\n\n <a {COUNTED}>x</a>!"),
        ('<map><area href="https://a.de"></map>', f"<map><area {COUNTED}></map>"),
        # A link that opted out stays plain.
        (
            '<a href="http://a.de?b&amp;c" clicktracking="off">x</a>',
            f'<a href="http://a.de?b&amp;c" {NEW_TAB}>x</a>',
        ),
        ('<a href="mailto:a@a.de">x</a>', f'<a href="mailto:a@a.de" {NEW_TAB}>x</a>'),
        # What would run a script, or leads nowhere, is no link any more.
        ('<a href="javascript:alert(1)">x</a>', "<a>x</a>"),
        ('<a href=" java\nscript:alert(1)" id="1">x</a>', '<a id="1">x</a>'),
        ('<a href="data:text/html,x">x</a>', "<a>x</a>"),
        ('<a href="/etc">x</a>', "<a>x</a>"),
        ('<a href="//a.de">x</a>', "<a>x</a>"),
        ('<a href="http://[">x</a>', "<a>x</a>"),
        ('<a href="https://a.de:x/">x</a>', "<a>x</a>"),
        # The first of two attributes counts, as in browsers.
        ('<a href="javascript:1" href="https://a.de">x</a>', "<a>x</a>"),
        # An attribute cannot break out of its quotes.
        ("<a title='\"><b>' href='https://a.de'>", f'<a title="&quot;&gt;&lt;b&gt;" {COUNTED}>'),
        # Malformed marks end the search, never the page.
        ('<a href="https://a.de"><![x[<a href="/b">', f'<a {COUNTED}><![x[<a href="/b">'),
    ],
)
def test_links_are_rewritten_and_nothing_else(html: str, result: str) -> None:
    assert shown(html, tracked) == result


def test_without_click_tracking_links_stay_plain() -> None:
    html = '<a href="https://a.de/">x</a>'
    assert shown(html, None) == f'<a href="https://a.de/" {NEW_TAB}>x</a>'


def test_a_link_keeps_its_number_whatever_stands_before_it() -> None:
    html = (
        '<a href="javascript:1">a</a> <a href="https://a.de" clicktracking=off>b</a>'
        ' <a href="https://b.de">c</a>'
    )
    assert "/click/7/2" in shown(html, tracked)
    assert [link.target for link in links(html)] == [None, "https://a.de", "https://b.de"]
    assert [link.is_trackable for link in links(html)] == [False, False, True]


def test_a_target_never_splits_a_header() -> None:
    (link,) = links('<a href="https://a.de/&#13;&#10;Set-Cookie: a=b">x</a>')
    assert link.target
    assert not {"\r", "\n"}.intersection(link.target)
