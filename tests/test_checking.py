"""A course looked over: what is wrong is found with file and line, what is well is left alone."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import UnionType
from typing import Any, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course import course_file, curriculum, scaffold, sources
from course.checking import (
    Finding,
    Rule,
    Severity,
    check,
    contrast,
    folder,
    online,
    scanning,
    survey,
)
from course.checking.links import Link, judge
from course.checking.page import read as read_page
from course.errors import InvalidInputError, RefusedError
from course.rendering import Site
from course.settings import SOURCE_ROOT
from course.sources import Source

SITE = Site("https://course.example.org", "Main Street 1\n12345 Town", "me@example.org")
TEMPLATES = sources.read_templates(SOURCE_ROOT)
FILES = TEMPLATES | scaffold.files("Bread")
LESSON = FILES["02-second-step.md"]
BASE = "templates/email/base.html.j2"
TOML = FILES["course.toml"]


def found(site: Site = SITE, slug: str = "bread", **changes: str | None) -> list[Finding]:
    """What is said of the sample course with these files changed (or, by None, left out)."""
    files = {name: text for name, text in (FILES | changes).items() if text is not None}
    return check(Source(slug, Path(slug), files, None), site)


def told(findings: list[Finding]) -> list[str]:
    return [f"{one.file.removeprefix('lessons/bread/')}:{one.line} {one.rule}" for one in findings]


def line(name: str, words: str) -> str:
    """Where these stand in one of the files, as `told` writes it."""
    return f"{name}:{FILES[name][: FILES[name].index(words)].count(chr(10)) + 1}"


def lesson(body: str, subject: str = "A third lesson", more: str = "") -> dict[str, str]:
    return {"03-third.md": f'---\nsubject: "{subject}"\nafter: 1\n{more}---\n\n{body}\n'}


def test_the_course_that_comes_along_and_a_new_one_have_nothing_to_mend() -> None:
    assert check(sources.read(SOURCE_ROOT, "job-search"), SITE) == []
    assert found() == []
    assert found(Site(postal_address="A house")) == []


# One broken course a row: what was changed, and all that is to be said of it.
BROKEN: list[tuple[dict[str, str | None], list[str]]] = [
    # the folder and its files
    ({"course.toml": None}, ["course.toml:1 course"]),
    ({"about.md": None}, ["about.md:1 course"]),
    ({"01-welcome.md": None, "02-second-step.md": None}, [":1 course"]),
    (
        {"course.toml": TOML.replace("[brand]", "[brand")},
        [line("course.toml", "[brand]") + " course"],
    ),
    # each fault of a file, not only the first
    (
        {"course.toml": TOML.replace('"UTC"', '"Mars"').replace("opens =", "opnes =")},
        [line("course.toml", "zone =") + " course", line("course.toml", "opens =") + " course"],
    ),
    (
        {"02-second-step.md": LESSON.replace("after: 1", "afer: 1").replace("preh", "preah")},
        ["02-second-step.md:2 front-matter"]
        + ["02-second-step.md:3 front-matter", "02-second-step.md:4 front-matter"],
    ),
    # what is wrong with the head as a whole
    (
        lesson("Text, of its own.", more='hour: "09:00"\nwindow: "08:00-09:00"\n'),
        ["03-third.md:1 front-matter"],
    ),
    # one file's fault hides nothing of the others, nor the head's fault the body's
    (
        {"course.toml": "x", "01-welcome.md": "No head. TODO", **lesson("[x](y) {{ who }}")},
        ["01-welcome.md:1 front-matter", "01-welcome.md:1 placeholder"] + ["course.toml:1 course"],
    ),
    (
        lesson("{{ who }} {{ what }}\n\n{{ when }}", "{{ where }}", "afer: 2\n"),
        ["03-third.md:4 front-matter", "03-third.md:7 template"]
        + ["03-third.md:7 template", "03-third.md:9 template"],
    ),
    (lesson("Text, of its own.", more="slug: welcome\n"), ["03-third.md:1 front-matter"]),
    # templates, for everybody
    (lesson("{{ who }}", "{{ where }}"), ["03-third.md:2 template", "03-third.md:6 template"]),
    (lesson("{% if name %}"), ["03-third.md:6 template"]),
    (lesson("{{ course.tilte }}"), ["03-third.md:6 template"]),
    (lesson("{{ name.split()[0] }}"), ["03-third.md:6 template"]),
    (lesson("Text. {% if zone[0] == 'E' %}x{% endif %}"), ["03-third.md:6 template"]),
    ({"templates/email/lesson.txt.j2": None}, ["templates/email/lesson.txt.j2:1 template"]),
    (
        {"course.toml": TOML.replace('"en"', '"tlh"')},
        ["course.toml:1 template"],
    ),
    # subject and preheader
    (lesson("Text.", "{{ name }}"), ["03-third.md:2 subject-empty"]),
    (lesson("Text.", "long " * 15), ["03-third.md:2 subject-long"]),
    (lesson("Text.", "Your SECOND step"), ["03-third.md:2 subject-twice"]),
    (lesson("Text.", more=f"preheader: {'long ' * 30}\n"), ["03-third.md:4 preheader-long"]),
    # the text part, and what must stand in both
    (lesson("<table><tr><td></td></tr></table>"), ["03-third.md:6 text-empty"]),
    (lesson("{% if name %}Dear {{ name }}{% endif %}"), ["03-third.md:6 text-empty"]),
    (
        {
            BASE: FILES[BASE].replace(
                "{% for line in postal_address.splitlines() %}", "{% for line in '' %}"
            )
        },
        ["templates/email/base.html.j2:1 address-missing"],
    ),
    (
        {
            "templates/email/base.txt.j2": FILES["templates/email/base.txt.j2"].replace(
                "{{ unsubscribe_url }}", ""
            )
        },
        ["templates/email/base.txt.j2:1 unsubscribe-missing"],
    ),
    (
        {
            "templates/email/lesson.txt.j2": "{{ body }} {{ postal_address }}"
            "{% if name %}{{ unsubscribe_url }}{% endif %}"
        },
        ["templates/email/lesson.txt.j2:1 unsubscribe-missing"],
    ),
    # links
    (lesson("[x](www.example.com)"), ["03-third.md:6 link-malformed"]),
    (lesson("Text.\n\n[x](/page) [y](https:/example.com)"), ["03-third.md:8 link-malformed"] * 2),
    (lesson("[x](javascript:alert)"), ["03-third.md:6 link-broken"]),
    (lesson("[x]()"), ["03-third.md:6 link-malformed"]),
    (lesson("[x](mailto:nobody)"), ["03-third.md:6 link-malformed"]),
    (lesson("[x](http://localhost:3000/)"), ["03-third.md:6 link-local"]),
    (lesson("[x] (https://example.com)"), ["03-third.md:6 link-broken"]),
    (lesson("[x](https://exa mple.com)"), ["03-third.md:6 link-broken"]),
    ({"about.md": "About.\n\n[x](www.example.com)"}, ["about.md:3 link-malformed"]),
    # pictures
    (lesson("Text ![](https://example.com/a.png)"), ["03-third.md:6 image-alt"]),
    (lesson('<p><img src="https://example.com/a.png"></p>\n\nText.'), ["03-third.md:6 image-alt"]),
    (lesson("![A loaf](a.png)"), ["03-third.md:6 image-address"]),
    (
        {"course.toml": TOML.replace('logo = ""', 'logo = "a.png"')},
        [line("course.toml", "logo =") + " course"],
    ),
    # placeholders
    (lesson("Text.\n\nTODO: an example"), ["03-third.md:8 placeholder"]),
    (lesson("Lorem ipsum dolor [insert a name here]"), ["03-third.md:6 placeholder"] * 2),
    (
        {"course.toml": TOML.replace("Two short", "FIXME")},
        [line("course.toml", "Two short") + " placeholder"],
    ),
    ({"about.md": "XXX"}, ["about.md:1 placeholder"]),
    # size and merging
    (lesson("word " * 19_000), ["03-third.md:6 html-large"]),
    (lesson("word " * 21_000), ["03-third.md:6 html-clipped"]),
    (
        lesson("\n".join(f"{{{{ name ~ {n} }}}}" for n in range(60))),
        ["03-third.md:6 merge-large", "03-third.md:6 merge-many"],
    ),
    # colours
    (lesson('<p style="color: #999">Grey</p>\n\nText.'), ["03-third.md:6 contrast"]),
    (
        {BASE: FILES[BASE].replace("{ color: #a8a49c !important", "{ color: #333 !important")},
        [line(BASE, "  .soft, .foot") + " contrast"] * 2,
    ),
    (
        {BASE: FILES[BASE].replace(".soft { color: #5c5d5e", ".soft { color: {{ brand }}")}
        | {"course.toml": TOML.replace("#0b6e4f", "#ffcc00")},
        [line("course.toml", "color =") + " contrast"],
    ),
    # a copy that was forgotten
    (lesson(LESSON.split("---\n")[2] + "More."), ["03-third.md:5 lesson-twice"]),
]


@pytest.mark.parametrize(("changes", "findings"), BROKEN)
def test_what_is_broken_is_found_with_file_and_line(
    changes: dict[str, str | None], findings: list[str]
) -> None:
    said = found(**changes)
    assert told(said) == findings
    assert all(one.what and one.mend and one.why.endswith(".") for one in said)


@pytest.mark.parametrize(
    "body",
    [
        "Use `TODO` as a mark.\n\n```python\n# FIXME\n```\n\n{# XXX: for me alone #}",
        "Insert the key here, and turn it.",
        "[mail](mailto:me@example.org?subject=x) [call](tel:+49123) [go]({{ course.url }})",
        "[me]({{ manage_url }}) [x](https://example.com/?who={{ email|urlencode }}&b=1#part)",
        'Text <img src="https://example.com/line.png" alt="">',
        "`[x] (https://example.com)` and [a footnote] (see below)",
        '<p style="color: #999; background: #222">Light on dark</p>\n\nText.',
        '<p style="color: var(--x)">Nobody knows</p>\n\nText.',
        "{% if name %}Dear {{ name }}{% else %}Hello{% endif %}",
    ],
)
def test_what_is_well_is_left_alone(body: str) -> None:
    assert told(found(**lesson(body))) == []


def test_faults_that_only_some_readers_have_name_them() -> None:
    (one,) = found(**lesson("{{ name.split()[0] }}"))
    assert "where name = ''" in one.what
    assert "No name" in one.what
    (one,) = found(**lesson("{{ course.tilte }}"))
    assert "as:" not in one.what


def test_a_name_that_could_be_meant_is_offered() -> None:
    (one,) = found(**{"02-second-step.md": LESSON.replace("preheader", "preheder")})
    assert one.mend.startswith("Did you mean preheader?")


def test_a_folders_name_is_looked_at() -> None:
    assert [one.rule for one in found(slug="My Course")] == [Rule.COURSE]


def test_without_a_postal_address_nothing_may_leave() -> None:
    rules = {one.rule for one in found(replace(SITE, postal_address=" "))}
    assert rules == {Rule.ADDRESS_MISSING}


def test_each_rule_is_broken_by_some_course_and_explained_to_authors() -> None:
    page = (SOURCE_ROOT / "docs/authoring.md").read_text()
    explained = re.findall(r"^\| `([a-z-]+)` \| (error|warning) \|", page, re.MULTILINE)
    assert explained == [(rule.value, rule.severity.value) for rule in Rule]
    seen = {line.split()[1] for _, lines in BROKEN for line in lines}
    elsewhere = {"unreadable", "file-ignored", "link-dead", "link-unsure"}
    assert seen | elsewhere == {rule.value for rule in Rule}


# Links ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://example.com", None),
        ("HTTPS://EXAMPLE.com:8443/a?b=c#d", None),
        ("https://bücher.example/ä", None),
        ("https://[2001:db8::1]/", Rule.LINK_MALFORMED),
        ("https://[2001:db8::1", Rule.LINK_MALFORMED),
        ("https://example.com:port/", Rule.LINK_MALFORMED),
        ("https://https://example.com", Rule.LINK_MALFORMED),
        ("https://intranet/page", Rule.LINK_MALFORMED),
        ("https:///page", Rule.LINK_MALFORMED),
        ("//example.com", Rule.LINK_MALFORMED),
        ("example.com/page", Rule.LINK_MALFORMED),
        ("ftp://example.com", Rule.LINK_MALFORMED),
        ("file:///etc/passwd", Rule.LINK_MALFORMED),
        ("mailto:a@example.com,b@example.com", None),
        ("#top", Rule.LINK_MALFORMED),
        ("https://127.0.0.1:8000/", Rule.LINK_LOCAL),
        ("http://printer.local/", Rule.LINK_LOCAL),
    ],
)
def test_a_link_is_judged_by_how_it_is_written(url: str, rule: Rule | None) -> None:
    fault = judge(url)
    assert (fault.rule if fault else None) == rule


class _Web(BaseHTTPRequestHandler):
    """`/404` answers 404; `/post` refuses HEAD; `/slow` never answers."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        word = self.path.strip("/")
        status = int(word) if word.isdigit() else 200
        if word == "post" and self.command == "HEAD":
            status = 404
        if word == "slow":
            self.rfile.read(1)
            return
        self.send_response(status)
        if word == "302":
            self.send_header("Location", "/404")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None: ...


@pytest.fixture
def web() -> Iterator[tuple[str, list[str]]]:
    """A web on this machine: its address, and what it is asked for."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Web", (_Web,), {"asked": asked}))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/", None),
        ("/post", None),  # HEAD is refused, GET is not
        ("/403", None),  # no robots: says nothing about the page
        ("/404", Rule.LINK_DEAD),
        ("/410", Rule.LINK_DEAD),
        ("/302", Rule.LINK_DEAD),  # leads to what is gone
        ("/500", Rule.LINK_UNSURE),
        ("/slow", Rule.LINK_UNSURE),
    ],
)
def test_a_dead_link_is_told_from_one_that_lives(
    path: str, rule: Rule | None, web: tuple[str, list[str]]
) -> None:
    findings = online.probe([Link(web[0] + path, "01-a.md", 7)], seconds=0.2)
    assert [one.rule for one in findings] == ([rule] if rule else [])
    assert all((one.file, one.line) == ("01-a.md", 7) for one in findings)


def test_an_address_is_asked_for_once_and_told_wherever_it_stands(
    web: tuple[str, list[str]],
) -> None:
    home, asked = web
    places = [Link(f"{home}/404#a", "01-a.md", 7), Link(f"{home}/404", "02-b.md", 9)]
    assert [one.file for one in online.probe(places)] == ["01-a.md", "02-b.md"]
    assert asked == ["HEAD /404", "GET /404"]


def test_a_host_where_nobody_listens_is_no_more_than_unsure(web: tuple[str, list[str]]) -> None:
    findings = online.probe([Link("http://127.0.0.1:1/", "01-a.md", 7)])
    assert [one.severity for one in findings] == [Severity.WARNING]


def test_only_links_of_others_that_are_the_same_for_all_are_asked_for() -> None:
    body = (
        "[a](https://a.example/) [b](https://b.example/?who={{ email|urlencode }}) [c](oops)\n"
        "[d]({{ course.url }}) [e]({{ manage_url }}) [f](mailto:f@example.com)\n"
        "![g](https://g.example/g.png)"
    )
    files = FILES | lesson(body)
    seen = survey(Source("bread", Path("bread"), files, None), SITE)
    third = [link for link in seen.links if link.file.endswith("03-third.md")]
    assert third == [
        Link("https://a.example/", "lessons/bread/03-third.md", 6),
        Link("https://g.example/g.png", "lessons/bread/03-third.md", 8),
    ]


# Colours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("color", "ground", "ratio"),
    [
        # The first three are W3C's own examples.
        ("#000", "#ffffff", 21.0),
        ("#777777", "white", 4.48),
        ("rgb(118, 118, 118)", "#FFF", 4.54),
        ("#ff0000", "#ff0000", 1.0),
    ],
)
def test_contrast_is_that_of_wcag(color: str, ground: str, ratio: float) -> None:
    assert contrast.ratio(color, ground) == pytest.approx(ratio, abs=0.005)
    assert contrast.ratio(ground, color) == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize("color", ["rgba(0, 0, 0, .5)", "var(--x)", "url(a.png)", "", "#12345"])
def test_a_colour_that_is_not_plain_is_not_judged(color: str) -> None:
    assert contrast.ratio(color, "#ffffff") is None


def test_text_has_the_colours_of_what_it_stands_in() -> None:
    html = (
        "<body style='color: #111; background: #eee'><p>a<b style='color:#222'>b</b>c<br>"
        "<td bgcolor='#ddd'>d</td><span style='display:none'>e</span><a href='x'>f</a>"
    )
    runs = [(run.text, run.color, run.background) for run in read_page(html).runs]
    assert runs == [
        ("a", "#111", "#eee"),
        ("b", "#222", "#eee"),
        ("c", "#111", "#eee"),
        ("d", "#111", "#ddd"),
        ("f", "#0000ee", "#eee"),
    ]


# Folders ----------------------------------------------------------------------------------------


def test_a_new_course_is_written_once_and_never_over_anything(tmp_path: Path) -> None:
    made = tmp_path / "courses" / "first-loaf"
    written = scaffold.write(made, 'A "first" loaf')
    assert sorted(path.name for path in written) == sorted(scaffold.files(""))
    course = curriculum.parse("first-loaf", {path.name: path.read_text() for path in written})
    assert course.title == 'A "first" loaf'
    before = {path: path.read_text() for path in written}
    with pytest.raises(RefusedError, match="there already"):
        scaffold.write(made, "Another")
    assert {path: path.read_text() for path in written} == before


@pytest.mark.parametrize("name", ["First Loaf", "-x", "x\n", "ä", "x_y"])
def test_a_folder_of_no_good_name_is_not_made(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="a-z, 0-9 and -"):
        scaffold.write(tmp_path / name, "Title")
    assert not list(tmp_path.iterdir())


@given(st.text(min_size=1))
def test_a_new_course_takes_any_title_of_one_line(title: str) -> None:
    if title.strip() and title.isprintable():
        files = scaffold.files(title.strip())
        assert curriculum.parse("x", files).title == title.strip()


def test_every_key_stands_in_a_new_course_with_a_comment() -> None:
    """A key that is new to `curriculum` must be explained where authors meet it."""
    files = scaffold.files("Title")
    assert list(unexplained(files["course.toml"], course_file.CourseFile)) == []
    head = files["01-welcome.md"].split("---\n")[1]
    assert list(unexplained(head, course_file.FrontMatter)) == []


def unexplained(text: str, model: type[course_file.Table]) -> Iterator[str]:
    """Keys of a table, and of those in it, that lack a line or a comment above it."""
    lines = text.splitlines()
    for name, field in model.model_fields.items():
        inner = table_of(field.annotation)
        pattern = rf"(# )?\[{name}[\].]" if inner else rf"(# )?\[?{name}(\]| =|:|\.)"
        at = next((n for n, line in enumerate(lines) if re.match(pattern, line)), None)
        if at is None:
            yield f"{name} is not there"
        elif inner:
            yield from unexplained("\n".join(lines[at:]), inner)
        elif not re.match(r"# [A-Za-z].* ", lines[at - 1]):
            yield f"{name} has no comment"


def table_of(annotation: Any) -> type[course_file.Table] | None:
    if get_origin(annotation) in (UnionType, tuple, dict):
        return next(filter(None, map(table_of, get_args(annotation))), None)
    is_table = isinstance(annotation, type) and issubclass(annotation, course_file.Table)
    return annotation if is_table else None


def test_what_cannot_be_read_hides_nothing_else(tmp_path: Path) -> None:
    made = tmp_path / "bread"
    scaffold.write(made, "Bread")
    (made / "02-second-step.md").write_bytes(LESSON.encode() + b"caf\xe9\nTODO\n")
    (made / "3 Third.MD").write_text("x")
    (made / "notes.md").write_text("TODO")
    (made / "04-folder.md").mkdir()
    source, findings = folder.read(made, tmp_path, "")
    assert told(findings) == [
        "02-second-step.md:23 unreadable",
        "04-folder.md:1 unreadable",
        "3 Third.MD:1 file-ignored",
    ]
    assert "3-third.md" in findings[2].mend
    assert told(check(source, SITE, where="")) == ["02-second-step.md:24 placeholder"]


# Whatever the files contain ---------------------------------------------------------------------

_NAMES = ["about.md", "course.toml", "01-welcome.md", "templates/texts/en.toml"]
_PIECES = (
    *("{{ name", "{% if", "%}", "{{ x }}", "{# ", "---\n", "\n", "[x](", "![](", "`", "<img ", "x"),
    *("after: 2026-99-99\n", "after: [", "slug: 1\n", "title = 3\n", "[fields]\n", "= ", '"', "'"),
    *("\x00", "\ud7ff", "\u2028", "&#x110000;", "<style>", "</style>", "color: #", "::", "\r", "*"),
)
mutations = st.lists(
    st.tuples(
        st.sampled_from(_NAMES),
        st.floats(0, 1),
        st.integers(0, 40),
        st.one_of(st.sampled_from(_PIECES), st.text(max_size=8)),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutations, st.sets(st.sampled_from(_NAMES), max_size=2))
def test_a_check_never_raises_whatever_the_files_contain(
    changes: list[tuple[str, float, int, str]], missing: set[str]
) -> None:
    files = {name: FILES[name] for name in FILES if name != "02-second-step.md"}
    for name, where, removed, put in changes:
        at = int(where * len(files[name]))
        files[name] = files[name][:at] + put + files[name][at + removed :]
    for name in missing:
        del files[name]
    for one in check(Source("bread", Path("bread"), files, None), SITE):
        assert isinstance(one, Finding)
        assert one.line >= 1


def with_brand(key: str, value: str) -> dict[str, str | None]:
    """The sample's course.toml with another value there."""
    was = next(text for text in TOML.splitlines() if text.startswith(f"{key} ="))
    return {"course.toml": TOML.replace(was, f"{key} = {json.dumps(value)}")}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("color", "#fff; } body { display: none"),
        ("color", "red"),
        ("font", "Arial</style><h1>INJ</h1>"),
        ("font", "Arial; } x { y: z }"),
        ("font", 'Arial", "x'),
        ("font", "'Arial"),
        ("font", "Arial\n, x"),
        ("font", "url(https://e.example)"),
        ("font", "x, " * 200 + "x"),
        ("logo", 'https://e.example/"onerror=x'),
        ("logo", "https://e.example/'onerror=x"),
        ("logo", "https://e.example/ onerror=x"),
        ("logo", "https://e.example/<b>"),
        ("logo", "https://e.example/a\\b"),
        ("logo", "javascript:alert(1)"),
        ("logo", "data:image/svg+xml,x"),
        ("logo", "//e.example/a.png"),
        ("logo", "https://" + "e" * 600),
    ],
)
def test_a_brand_that_breaks_out_of_its_place_is_refused(key: str, value: str) -> None:
    [one] = found(**with_brand(key, value))
    assert (one.rule, one.severity) == (Rule.COURSE, Severity.ERROR)
    assert told([one]) == [line("course.toml", f"{key} =") + " course"]
    assert "write it like" in one.what
    assert "\n" not in one.what
    assert value[:12].split("\n")[0] in one.what.replace("\\\\", "\\")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("font", "Charter, 'Source Sans 3', \"Noto Sans\", serif"),
        ("font", "ＭＳ Ｐゴシック, sans-serif"),
        ("logo", "https://www.example.com/a/logo-1.png?v=2&w=3%20"),
    ],
)
def test_a_usual_brand_is_well(key: str, value: str) -> None:
    assert found(**with_brand(key, value)) == []


def test_a_brand_that_nobody_can_see_is_warned_of() -> None:
    [one] = found(**with_brand("color", "#ffffff"))
    assert (one.rule, one.severity) == (Rule.CONTRAST, Severity.WARNING)
    assert told([one]) == [line("course.toml", "color =") + " contrast"]
    assert "1.0 : 1" in one.what


@pytest.mark.parametrize("key", ["title", "description"])
@pytest.mark.parametrize("mark", ["\u202e", "\u202a", "\u2066"])
def test_a_mark_that_turns_text_around_is_refused_by_name(key: str, mark: str) -> None:
    [one] = found(**with_brand(key, f"Bread{mark}gnp.exe"))
    assert f"U+{ord(mark):04X}" in one.what
    assert mark not in one.what


# Each of these begins something that never ends. The slow ones are many seconds together.
HOSTILE = [
    "`",
    "``` ",
    "[a](",
    "*",
    "<",
    "<!--",
    "<style ",
    "<b></x>",
    "</b>",
    ">",
    "(",
    " ",
    "{# ",
]
HOSTILE_TOO = ["`` ` ", "[", "![", "*a ", "_a", "<style>", "<img ", "<b>", "<i id=a>", "> ", "&"]
HOSTILE_TOO += ["&#", "\n", "{", "\\", "- a\n  - b\n", "=\n", "[ insert ", "a|", "@media "]


@pytest.mark.parametrize(
    "mark", [*HOSTILE, *(pytest.param(mark, marks=pytest.mark.e2e) for mark in HOSTILE_TOO)]
)
def test_a_hundred_thousand_letters_of_one_kind_are_looked_over_soon(mark: str) -> None:
    """By counting, not in squares: some of these took minutes, and one the whole process."""
    text = (mark * 100_000)[:100_000]
    began = time.process_time()
    for where in ({"03-third.md": lesson("")["03-third.md"] + text}, {"about.md": text[:49_000]}):
        found(**where)
    assert time.process_time() - began < 30


@pytest.mark.parametrize("mark", ["{# ", "```\n", "`", "``` ` ", "{{", "{% "])
def test_code_is_found_in_steps_that_grow_with_the_text(mark: str) -> None:
    text = (mark * 1_000_000)[:1_000_000]
    began = time.process_time()
    for scan in (scanning.without_code, scanning.without_jinja):
        assert len(scan(text)) <= len(text)
    assert time.process_time() - began < 15


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a `TODO` b", "a        b"),
        ("a ``TO`DO`` b", "a           b"),
        ("a `TODO b", "a `TODO b"),
        ("a `x\n\nTODO` b", "a `x\n\nTODO` b"),
        ("```\nTODO\n```\nb", "   \n    \n   \nb"),
        ("~~~~ py\nTODO\n~~~\n~~~~\nb", "       \n    \n   \n    \nb"),
        ("```x``` b", "        b"),
        ("a {# TODO #} b {# c", "a            b {# c"),
    ],
)
def test_code_and_comments_are_blank_and_keep_their_lines(text: str, left: str) -> None:
    assert scanning.without_code(text) == left


@pytest.mark.parametrize(
    "body",
    ["<b>" * 20_000, "<div>" * 30_000, "<p>x</p><i id=a>" * 9_000, "<em><b>" * 20 + "x"],
    ids=["words", "blocks", "begun again", "a few"],
)
def test_html_that_is_nested_without_end_is_refused_before_it_ends_the_process(body: str) -> None:
    [one] = [each for each in found(**lesson(body)) if each.rule is Rule.TEMPLATE]
    assert "nested too deeply" in one.what
    assert one.file.endswith("03-third.md")


def test_html_as_people_write_it_is_not_nested_too_deeply() -> None:
    rows = "<tr><td><p>One<td>Two <b>words</b><br>" * 300
    body = f"<table>{rows}</table>\n\n<ul>{'<li>x' * 300}</ul>\n"
    assert not [each for each in found(**lesson(body)) if "deeply" in each.what]
