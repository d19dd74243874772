"""Templates made up from Jinja's grammar, as wild as an author may write them, and people."""

from hypothesis import strategies as st

_FIELDS = st.sampled_from(["name", "country", "url"])
_WORDS = st.sampled_from(["'there'", "'<b>&'", "'*x*'", "''", "3", "'xaaaabbbbccccdddd0000x'"])
_FILTERS = st.sampled_from(
    ["title", "upper", "trim", "length", "first", "last", "urlencode", "capitalize", "int"]
    + ["default('x')", "replace('a', 'bb')", "truncate(7)", "center(9)", "reverse", "unique|join"]
    # Not let through: what they make is not a person's plain text.
    + ["safe", "tojson", "escape", "list|random"]
)
_COURSE = st.sampled_from(
    ["course.title", "course.days|join(', ')", "course.open", "course.days|length", "'a' ~ 1"]
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} or {})".format, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({}|string|{})".format, inner, _FILTERS),
        st.builds("({} ~ {})".format, inner, inner),
        st.builds("({} == {})".format, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("({} in ['DE', {}])".format, inner, inner),
        st.builds("({}|string)[{}]".format, inner, st.sampled_from(["0", "1:3", "::-1"])),
        st.builds("({}|string).split()[0]".format, inner),
    )


# Of fields and constants alone, or of the course's data alone, or of both.
_OWN = st.recursive(_FIELDS | _WORDS, _grown, max_leaves=4)
_SHARED = st.recursive(_COURSE | _WORDS, _grown, max_leaves=3)
_MIXED = st.recursive(_FIELDS | _COURSE, _grown, max_leaves=3)
_EXPRESSIONS = st.one_of(_OWN, _OWN, _OWN, _SHARED, _SHARED, _MIXED)
_LITERAL = st.sampled_from(
    [
        "Hi ",
        "\n\n",
        "<b>b</b>",
        "&amp; ",
        "*x* _y_ ",
        "{# a note #}",
        "xaaaabbbbccccdddd0001x",
        "שלום ",
    ]
)


def _blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    test = _EXPRESSIONS
    return st.one_of(
        st.builds("{{% if {} %}}{}{{% endif %}}".format, test, inner),
        st.builds(
            "{{% if {} %}}{}{{% elif {} %}}{}{{% else %}}{}{{% endif %}}".format,
            test,
            inner,
            test,
            inner,
            inner,
        ),
        st.builds(
            "{{% for day in course.days %}}{}{{{{ loop.index }}}}{{% endfor %}}".format, inner
        ),
        st.builds("{{% set word = {} %}}{}{{{{ word }}}}".format, _SHARED, inner),
        st.builds(
            "{{% macro hi(word) %}}{}<i>{{{{ word }}}}</i>{{% endmacro %}}{{{{ hi({}) }}}}".format,
            inner,
            _SHARED,
        ),
        st.builds("{{% filter upper %}}{}{{% endfilter %}}".format, inner),
        st.builds("{{% with word = {} %}}{}{{% endwith %}}".format, _SHARED, inner),
        st.builds("{{% include 'foot' %}}{}".format, inner),
        st.builds("{}{}".format, inner, inner),
    )


_PRINTED = st.builds("{{{{ {} }}}}".format, _EXPRESSIONS)
bodies = st.recursive(_PRINTED | _LITERAL, _blocks, max_leaves=6)
"""Bodies of templates; some are let through, some refused."""

sources = st.builds(
    lambda main, base, foot, extends: {
        "main": f"{{% extends 'base' %}}{{% block a %}}{{{{ super() }}}}{main}{{% endblock %}}"
        if extends
        else main,
        "base": f"<p>{{% block a %}}{base}{{% endblock %}}</p>",
        "foot": foot,
    },
    bodies,
    bodies,
    _PRINTED | _LITERAL,
    st.booleans(),
)
"""A template `main`, and those that it may reach."""

_NAMES = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        [
            "",
            "Ada Lovelace",
            "<script>alert('x')</script> & \"Co\"",
            "*Bold* _x_ [a](b) `c`",
            "{{ name }}{% if x %}",
            "x0123456789abcdef0000x",
            "x0123456789abcdef0001x",
            "ليلى بنت محمود",
            "👩‍👧‍👦" * 20,
            "a" * 200,
        ]
    ),
)
people = st.fixed_dictionaries(
    {"name": _NAMES, "country": st.sampled_from(["", "DE", "FR"]), "url": _NAMES}
)
"""Values that a recipient may have."""
