"""How much an author's template may do: a sandbox that counts each step and each letter.

A course may come from anywhere, and its mails are rendered by the process that sends everybody's.
So a template knows only filters and methods whose work can be told beforehand, no value is longer
than LONGEST, and one rendering has MOST steps and letters; beyond that it ends with an error.

Pure: values in, values out.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sized
from contextvars import ContextVar
from typing import Any, cast

from jinja2 import filters as jinja_filters
from jinja2 import nodes, pass_context
from jinja2 import tests as jinja_tests
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

# Letters of one value. Mail programs cut a mail off at half as many.
LONGEST = 200_000
# Steps and letters of one rendering: seconds at the worst, and no mail needs a quarter.
MOST = 600_000
# Words and marks of the template language in one file; the longest of ours has a few hundred.
MOST_NODES = 10_000
_STEP = 10  # what anything costs, however small
_WIDEST = 1000  # letters of a column, digits of a number
_RANGE = 10_000

_TOO_LONG = "a text so long is not made here"

_BUILT_IN: dict[str, Callable[..., Any]] = dict(jinja_filters.FILTERS)
_TESTS: dict[str, Callable[..., Any]] = dict(jinja_tests.TESTS)  # type: ignore[arg-type]
FILTERS = frozenset(
    "abs capitalize center count d default dictsort e escape filesizeformat first float "
    "forceescape format groupby int items join last length list lower map max min reject "
    "rejectattr replace reverse round safe select selectattr sort string sum title tojson trim "
    "truncate unique upper urlencode wordcount wordwrap".split()
)
# Of texts, numbers, lists and tables. Objects of Jinja's own, such as `loop`, have others.
METHODS = frozenset(
    "capitalize casefold count endswith find get index isalpha isdigit islower istitle isupper "
    "items join keys lower lstrip partition removeprefix removesuffix replace rpartition rsplit "
    "rstrip split splitlines startswith strip swapcase title upper values zfill".split()
)
_PLAIN = (str, bytes, int, float, list, tuple, dict, set, frozenset, range, type(None))


# Each thread has its own.
_left: ContextVar[int] = ContextVar("left", default=MOST)


def begin() -> None:
    """Another rendering, or one more expression for one more person."""
    _left.set(MOST)


def charge(steps: int) -> None:
    left = _left.get() - max(steps, _STEP)
    _left.set(left)
    if left < 0:
        raise SecurityError("the template takes too long, or its text is too long")


def weigh(value: Any) -> int:
    """The letters of a value and of all that it holds; refused where they are too many."""
    total, rest = 0, [value]
    while rest:
        match rest.pop():
            case str() | bytes() as text:
                total += len(text) + 1
            case int() as number:
                total += number.bit_length() // 3 + 1
            case dict() as table if len(table) <= LONGEST:
                total += len(table)
                rest += [*table, *table.values()]
            case list() | tuple() | set() | frozenset() as many if len(many) <= LONGEST:
                total += len(many)
                rest += many
            case range() | list() | tuple() | dict() | set() | frozenset() as many:
                total += 4 * len(many)
            case _:
                total += _STEP
        if total > LONGEST:
            raise SecurityError(_TOO_LONG)
    return total


class Sandbox(ImmutableSandboxedEnvironment):
    """Counts what it does. `bounded` has to go over a tree before it is compiled."""

    intercepted_binops = frozenset({"**", "*", "%", "+"})

    def __init__(self, **options: Any) -> None:
        super().__init__(finalize=_weighed, **options)
        self.filters = dict(_filters())
        self.tests = dict(_tests())
        self.globals = {n: DEFAULT_NAMESPACE[n] for n in ("dict", "cycler", "joiner", "namespace")}
        self.globals["range"] = _range

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, _PLAIN) and attr not in METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """No method `format`: its widths and its look into values would both need watching."""

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        charge(weigh(left) + weigh(right))
        if operator == "**":
            raise SecurityError("powers (**) are not calculated here")
        if operator == "*":
            _foresee_repeated(left, right)
            _foresee_repeated(right, left)
        if operator == "%":
            _foresee_format(left)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        charge(_STEP + weigh(args) + weigh(kwargs))
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str):
            _METHODS_FORESEEN.get(obj.__name__, _nothing)(owner, *args, **kwargs)
        return _weighed(super().call(context, obj, *args, **kwargs))


@functools.cache
def _filters() -> dict[str, Callable[..., Any]]:
    """Made once: there are many environments."""
    counted = {name: _counted(name, _BUILT_IN[name]) for name in FILTERS}
    return counted | {_STEPS: _steps, _EACH: _each, _VALUE: _value}


@functools.cache
def _tests() -> dict[str, Callable[..., Any]]:
    found = cast(dict[str, Callable[..., Any]], jinja_tests.TESTS)
    return {name: _counted(name, test) for name, test in found.items()}


def _weighed(value: Any) -> Any:
    charge(weigh(value))
    return value


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > _RANGE:
        raise SecurityError(f"a range has {_RANGE} numbers at the most")
    return made


def _counted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """That filter or test, which pays for what it reads and for what it makes."""
    foresee = _FORESEEN.get(name, _nothing)
    place = _ATTRIBUTE_AT.get(name)
    at = 1 if hasattr(work, "jinja_pass_arg") else 0  # Jinja's own argument stands in front

    @functools.wraps(work)
    def counted(*args: Any, **kwargs: Any) -> Any:
        charge(weigh(args[at:]) + weigh(kwargs))
        if place is not None:
            _require_public(kwargs.get("attribute", [*args[at:], *[None] * place][place]))
        foresee(*args[at:], **kwargs)
        return _weighed(work(*args, **kwargs))

    return counted


# Filters that look into each value, and which of their arguments names the attribute.
_ATTRIBUTE_AT = {
    **dict.fromkeys(("groupby", "map", "rejectattr", "selectattr", "sum"), 1),
    **dict.fromkeys(("join", "max", "min", "unique"), 2),
    "sort": 3,
}


def _require_public(attribute: Any) -> None:
    """What `value.__class__` is refused for, these filters would leave out without a word."""
    if isinstance(attribute, str) and any(n.startswith("_") for n in attribute.split(".")):
        raise SecurityError(f"access to attribute {attribute!r} is unsafe.")


# Whatever does more than to read its arguments once is paid for beforehand ------------------------


def _nothing(*_args: Any, **_kwargs: Any) -> None: ...


def _foresee_repeated(text: Any, times: Any) -> None:
    is_many = isinstance(times, int) and not isinstance(text, int | float)
    if is_many and weigh(text) * times > LONGEST:
        raise SecurityError(_TOO_LONG)


def _foresee_width(_text: Any, *args: Any, **kwargs: Any) -> None:
    for number in (*args, *kwargs.values()):
        if isinstance(number, int | float) and abs(number) > _WIDEST:
            raise SecurityError(f"a text {number} wide is not made here")


_WIDTHS = re.compile(r"%[^a-zA-Z%]*")


def _foresee_format(text: Any, *_args: Any, **_kwargs: Any) -> None:
    if not isinstance(text, str):
        return
    for found in _WIDTHS.findall(text):
        if "*" in found:
            raise SecurityError(_TOO_LONG)
        _foresee_width(text, *(int(digits[:9]) for digits in re.findall(r"\d+", found)))
        charge(_WIDEST)


def _foresee_replace(text: Any, old: Any = "", new: Any = "", *_args: Any, **_kwargs: Any) -> None:
    charge(str(text).count(str(old)) * len(str(new)))


def _foresee_join(many: Any, between: Any = "", *_args: Any, **_kwargs: Any) -> None:
    count = len(many) if isinstance(many, _PLAIN) and isinstance(many, Sized) else _RANGE
    charge(count * len(str(between)))


def _foresee_strip(text: Any, letters: Any = "", *_args: Any, **_kwargs: Any) -> None:
    charge(len(str(text)) * len(str(letters)) // _STEP)


def _foresee_wrap(text: Any, *args: Any, **kwargs: Any) -> None:
    breaks = [len(text) for text in (*args, *kwargs.values()) if isinstance(text, str)]
    charge(len(str(text)) * max([_STEP, *breaks]))


def _foresee_sum(_many: Any, _attribute: Any = None, start: Any = 0, **kwargs: Any) -> None:
    if not isinstance(kwargs.get("start", start), int | float):
        raise SecurityError("only numbers are summed here")


_FORESEEN: dict[str, Callable[..., None]] = {
    "center": _foresee_width,
    "round": _foresee_width,
    "format": _foresee_format,
    "replace": _foresee_replace,
    "join": _foresee_join,
    "trim": _foresee_strip,
    "wordwrap": _foresee_wrap,
    "sum": _foresee_sum,
}
_METHODS_FORESEEN: dict[str, Callable[..., None]] = {
    "zfill": _foresee_width,
    "replace": _foresee_replace,
    "join": lambda between, many=(): _foresee_join(many, between),
    "strip": _foresee_strip,
    "lstrip": _foresee_strip,
    "rstrip": _foresee_strip,
}


# What no function sees is counted by filters that no author can name ------------------------------

_STEPS, _EACH, _VALUE = "count steps", "count each", "count value"


@pass_context
def _steps(_context: Any, cost: int) -> None:
    charge(cost)


@pass_context
def _each(_context: Any, many: Iterable[Any], cost: int) -> Iterator[Any]:
    for one in many:
        charge(cost)
        yield one


@pass_context
def _value(_context: Any, value: Any) -> Any:
    return _weighed(value)


def bounded(tree: nodes.Template) -> nodes.Template:
    """The tree with its loops, blocks and macros counted, and texts that are put together."""
    return cast(nodes.Template, _Counting().visit(tree))


class _Counting(NodeTransformer):
    def visit_Template(self, node: nodes.Template) -> nodes.Node:  # noqa: N802 (Jinja's way)
        return self._count_body(node)

    def visit_Block(self, node: nodes.Block) -> nodes.Node:  # noqa: N802
        return self._count_body(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        return self._count_body(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802
        return self._count_body(node)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        if node.recursive:
            raise SecurityError("a loop cannot be recursive here")
        cost = _cost(node)
        self.generic_visit(node)
        node.iter = _filtered(
            cast(nodes.Expr, node.iter), _EACH, nodes.Const(cost, lineno=node.lineno)
        )
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.nodes = [_filtered(part, _VALUE) for part in node.nodes]
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(node, _VALUE) if isinstance(node.arg, nodes.Slice) else node

    def _count_body(self, node: Any) -> nodes.Node:
        cost = nodes.Const(_cost(node), lineno=node.lineno)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_filtered(cost, _STEPS), lineno=node.lineno))
        return cast(nodes.Node, node)


def _filtered(value: nodes.Expr, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, list(args), [], None, None, lineno=value.lineno)


def size(tree: nodes.Template) -> int:
    """Words and marks of the template language."""
    return sum(1 for _ in tree.find_all(nodes.Node))


def _cost(node: nodes.Node) -> int:
    """Of doing all that stands in it once."""
    texts = sum(len(text.data) for text in node.find_all(nodes.TemplateData))
    return texts + _STEP * sum(1 for _ in node.find_all(nodes.Node))
