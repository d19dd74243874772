# ruff: noqa: E501 (a trap on one line reads best)
"""A course may come from anywhere: its templates reach nothing of ours, and end soon."""

import resource
import time

import pytest

from course import markdown
from course.errors import CourseError, TemplateError
from course.rendering import Recipient, Site, compile_course, load_course
from tests.test_rendering import with_body

# Each of these ends within a second or so; a busy machine is granted more.
PATIENCE = 8
MEMORY = 200 * 1024 * 1024


@pytest.fixture(autouse=True)
def each_course_compiled_once() -> None:
    """Not here: each test compiles for itself."""


def refusal(files: dict[str, str]) -> str:
    """What a course is refused with, within bounds of time and memory."""
    began, before = time.process_time(), _peak()
    with pytest.raises(CourseError) as error:
        compile_course("job-search", files)
    assert time.process_time() - began < PATIENCE
    assert _peak() - before < MEMORY
    assert "\n" not in str(error.value)
    return str(error.value)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


REACHING = [
    "{{ course.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ course|attr('__class__') }}",
    "{{ [course]|map(attribute='__class__')|first }}",
    "{{ [course]|map(attribute='__class__.__mro__')|join }}",
    "{{ [1]|map('attr', '__class__')|first }}",
    "{{ [course]|sum(attribute='__class__') }}",
    "{{ [course]|map(attribute='__class__')|list }}",
    "{{ [course]|map(attribute='title.__class__')|list }}",
    "{{ [course]|groupby('__class__')|list }}",
    "{{ [course]|groupby(attribute='title.__class__')|list }}",
    "{{ [course]|selectattr('__class__')|list }}",
    "{{ [course]|rejectattr('__class__')|list }}",
    "{{ [course]|sort(attribute='__class__')|list }}",
    "{{ [course]|sort(false, false, '__class__')|list }}",
    "{{ [course]|unique(attribute='__class__')|list }}",
    "{{ [course]|max(attribute='__class__') }}",
    "{{ [course]|min(false, '__class__') }}",
    "{{ [course]|join(', ', '__class__') }}",
    "{{ ([course]|groupby('__class__')|first).grouper.mro }}",
    "{{ '{0.__class__}'.format(course) }}",
    "{{ '{0.__class__.__init__.__globals__}'|format(course) ~ ''.__class__ }}",
    "{{ '%(x)s'.__mod__({}) }}",
    "{{ range.__globals__ }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ joiner.__init__.__globals__.os.environ }}",
    "{{ namespace.__init__ }}",
    "{{ self.__init__ }}",
    "{{ self._TemplateReference__context }}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__code__ }}",
    "{% for x in [1] %}{{ loop.__class__ }}{% endfor %}",
    "{{ environment }}",
    "{{ config }}",
    "{{ request }}",
    "{{ lipsum.__globals__ }}",
    "{{ get_flashed_messages }}",
    "{{ ''.format_map }}",
    "{{ texts.update({'a': 1}) }}",
    "{{ course.brand.clear() }}",
    "{% include '/etc/passwd' %}",
    "{% include '../../.env' %}",
    "{% include 'email/../../.env' %}",
    "{% import '/etc/passwd' as x %}",
    "{% extends '/etc/passwd' %}",
    "{% include ['/etc/passwd', '.env'] %}",
    "{% include course.title %}",
    "{{ name.__class__ }}",
    "{{ name.format(name) }}",
    "{{ (name or '').__class__ }}",
]


@pytest.mark.parametrize("body", REACHING)
def test_nothing_behind_the_values_is_in_reach(body: str) -> None:
    assert refusal(with_body(body)).startswith("01-one.md:")


ENDLESS = {
    "a range": "{% for i in range(10**9) %}x{% endfor %}",
    "a long range": "{% for i in range(1000000000) %}x{% endfor %}",
    "loops": "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
    "silent loops": "{% for i in range(9999) %}{% for j in range(9999) if 0 %}x{% endfor %}{% endfor %}",
    "deep loops": "{% for i in [1, 2] %}" * 30 + "x" + "{% endfor %}" * 30,
    "a loop in itself": "{% for i in [[1]] recursive %}{{ loop(i) }}{% endfor %}",
    "a text times": "{{ 'a' * 10000000000 }}",
    "times a text": "{{ 1000000000 * ('a',) }}",
    "bytes": "{{ 'a'.encode() * 1000000000 }}",
    "a power": "{{ 9 ** 9 ** 9 }}",
    "squares": "{% set n = namespace(x=9) %}{% for i in range(90) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "doubling": "{% set n = namespace(x='ab') %}{% for i in range(90) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubling by ~": "{% set n = namespace(x='ab') %}{% for i in range(90) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling without a loop": "{% set x = 'ab' %}" + "{% set x = x ~ x %}" * 90,
    "doubling by set": "{% set x = 'ab' %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 90,
    "lists": "{% set x = [1] %}" + "{% set x = [x, x] %}" * 90 + "{{ x }}",
    "many texts": "{% set x = 'a' * 99999 %}" + "{% set y = [x[1:], x[2:], x[3:]] %}" * 3000,
    "many slices": "{% set x = 'a' * 99999 %}{% set y = [" + "x[1:]," * 9000 + "1] %}",
    "center": "{{ 'a'|center(1000000000) }}",
    "zfill": "{{ 'a'.zfill(1000000000) }}",
    "ljust": "{{ 'a'.ljust(1000000000) }}",
    "expandtabs": "{{ '\t'.expandtabs(1000000000) }}",
    "indent": "{{ 'a'|indent(1000000000, true) }}",
    "batch": "{{ [1]|batch(1000000000, 0)|list }}",
    "slice": "{{ [1]|slice(1000000000)|list }}",
    "round": "{{ 1.5|round(1000000000, 'ceil') }}",
    "to_bytes": "{{ (1).to_bytes(1000000000) }}",
    "format": "{{ '%1000000000d'|format(1) }}",
    "format with a star": "{{ '%*d'|format(1000000000, 1) }}",
    "%": "{{ '%.1000000000f' % 1 }}",
    "str.format": "{{ '{:1000000000}'.format(1) }}",
    "many formats": "{% set x = '%999d' * 9999 %}{{ x|length }}{{ x % range(9999)|list }}",
    "replace": "{% set x = 'a' * 99999 %}{{ x|replace('a', x)|length }}",
    "replace nothing": "{% set x = 'a' * 99999 %}{{ x.replace('', x)|length }}",
    "join": "{% set x = 'a' * 99999 %}{{ range(9999)|join(x)|length }}",
    "str.join": "{% set x = 'a' * 9999 %}{{ x.join(x)|length }}",
    "wordwrap": "{% set x = 'a ' * 9999 %}{{ x|wordwrap(1, wrapstring=x)|length }}",
    "trim": "{% set x = 'ab' * 49999 %}" + "{% set y = x|trim(x) %}" * 999,
    "sum": "{{ range(9999)|map('list')|sum(start=[]) }}",
    "lists in a row": "{{ [range(9999)|list]|sum(start=[]) }}",
    "map": "{% set x = range(9999)|list %}" + "{% set x = x|map('string')|list %}" * 999,
    "select": "{% set x = range(9999)|list %}{{ x|select('in', x)|list|length }}" * 99,
    "a macro": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "a tree of macros": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
    "{{ m(60) }}",
    "a macro that doubles": "{% macro m(n) %}{% if n %}{% set x = m(n - 1) %}{{ x }}{{ x }}{% else %}abc"
    "{% endif %}{% endmacro %}{{ m(60) }}",
    "a block": "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "lipsum": "{{ lipsum(1000000000) }}",
    "an int of digits": "{{ ('9' * 99999)|int * 2 ~ 'x' * 99999 * 2 }}",
    "brackets": "{{ " + "(" * 9000 + "1" + ")" * 9000 + " }}",
    "a chain": "{{ " + "1 + " * 9000 + "1 }}",
    "a long chain of filters": "{{ 1" + "|string" * 9000 + " }}",
    "lists in lists": "{{ " + "[" * 9000 + "]" * 9000 + " }}",
    "for a person": "{{ name.replace('', 'x' * 99999).replace('x', 'y' * 99999) }}",
    "for a person, at length": "{{ name.zfill(1000000000) }}",
    "for a person in a test": "{% if name.replace('', 'x' * 99999).replace('x', 'y' * 99999) %}{% endif %}",
    "a long text": "& " * 60000,
    "a long text out of a loop": "{% for i in range(9999) %}a long line of many words {% endfor %}",
}


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
def test_what_would_never_end_is_refused_soon(body: str) -> None:
    assert "01-one.md:" in refusal(with_body(body))


def lesson(front: str) -> dict[str, str]:
    return {**with_body("x"), "01-one.md": f"---\n{front}\n---\nx\n"}


def with_head(text: str) -> dict[str, str]:
    return {**with_body("x"), "course.toml": text}


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{ours}: &{ours} [{','.join([f'*{before}'] * 9)}]\n"
    for before, ours in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES_OF = {
    "aliases of aliases": (lesson(f"{LAUGHS}subject: *i\nafter: *i"), "01-one.md:3:"),
    "a merged alias": (lesson("a: &a {x: 1}\n<<: *a"), "01-one.md:3:"),
    "lists in lists": (lesson("subject: " + "[" * 4000), "01-one.md:2:"),
    "long front matter": (lesson("subject: " + "a" * 50000), "01-one.md:1:"),
    "a list as a key": (lesson("? [a]\n: b\nsubject: x\nafter: 0"), "01-one.md:2:"),
    "a long number": (lesson("subject: a\nafter: " + "9" * 4500), "01-one.md:"),
    "a long wait": (lesson("subject: a\nafter: " + "9" * 999), "01-one.md:3:"),
    "a tag": (lesson("subject: !!python/object/apply:os.system [ls]\nafter: 0"), "01-one.md:2:"),
    "TOML in TOML": (with_head("a = " + "[" * 9000), "course.toml:1:"),
    "dots": (with_head("a" + ".a" * 50000 + " = 1"), "course.toml:1:"),
    "a long file": (lesson("subject: a\nafter: 0\n---\n" + "x" * 300000), "01-one.md:1:"),
    "a long page": (with_body("x") | {"about.md": "[" * 60000}, "about.md:1:"),
    "a thousand lessons": (
        with_body("x") | {f"{n}-a{n}.md": "---\nsubject: a\nafter: 0\n---\nx" for n in range(1000)},
        "more than 400 lessons",
    ),
    "a deep condition": (lesson(f"subject: a\nafter: 0\nwhen: {'(' * 3000}1"), "01-one.md:"),
    "a long condition": (lesson("subject: a\nafter: 0\nwhen: 9 ** 9 ** 9"), "01-one.md:"),
}


@pytest.mark.parametrize(("files", "place"), FILES_OF.values(), ids=FILES_OF)
def test_files_that_are_hard_to_read_are_refused_soon(files: dict[str, str], place: str) -> None:
    assert place in refusal(files)


SLOW = [
    "[",
    "![",
    "*a ",
    "**a",
    "_a",
    "`` ` ",
    "<",
    "<!--",
    "<?",
    "[a](",
    "a|",
    "- a\n  - b\n",
    "> a\n",
]


@pytest.mark.parametrize("mark", SLOW)
def test_markdown_that_is_hard_to_read_ends_soon(mark: str) -> None:
    began = time.process_time()
    text = (mark * 20000)[:20000]  # the time grows with the length, of which a mail has ten times
    assert markdown.to_html(text) or markdown.to_text(text)
    assert time.process_time() - began < PATIENCE / 5


def test_templates_that_include_each_other_end() -> None:
    files = with_body("{% include 'email/a.txt.j2' %}")
    files["templates/email/a.txt.j2"] = "{% include 'email/a.txt.j2' %}" * 2
    refusal(files)


def test_an_applied_revision_is_bound_as_well_where_only_some_people_reach_the_trap() -> None:
    """`check` and `apply` try a few people; the scheduler renders for everybody."""
    trap = "{% if name == 'Eve' %}{% for i in range(9999) %}{% for j in range(9999) %}x"
    course = load_course("job-search", with_body(trap + "{% endfor %}" * 2 + "{% endif %}"), Site())
    message = course.lesson("one")
    message.mail(course.values(Recipient("ada@example.org", "Ada")))
    began = time.process_time()
    with pytest.raises(TemplateError, match=r"01-one\.md:"):
        message.mail(course.values(Recipient("eve@example.org", "Eve")))
    assert time.process_time() - began < PATIENCE
    # And whoever comes after is not made to pay for it.
    message.mail(course.values(Recipient("bob@example.org", "Bob")))
