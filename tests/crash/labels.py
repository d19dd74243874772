"""The steps at which a process can be ended, read from the one place that knows them: the calls of
`reached` in the source. A step that is new there is tested without a word here."""

import ast
from collections.abc import Iterator

from course.settings import SOURCE_ROOT


def all_labels() -> list[str]:
    """Every label in the order of the source; `f"settling {word}"` once for each word given."""
    texts = [path.read_text() for path in sorted((SOURCE_ROOT / "course").rglob("*.py"))]
    trees = [ast.parse(text) for text in texts if "reached(" in text]
    return list(dict.fromkeys(label for tree in trees for label in _labels(tree)))


def _labels(tree: ast.Module) -> Iterator[str]:
    for call in _calls(tree, ("reached", "_reached")):
        (label,) = call.args
        if isinstance(label, ast.Constant):
            yield label.value
        else:
            yield from _expanded(tree, call, label)


def _expanded(tree: ast.Module, call: ast.Call, label: ast.expr) -> Iterator[str]:
    """`f"before {parameter}"` for each constant that the file hands to that parameter."""
    assert isinstance(label, ast.JoinedStr), f"{ast.unparse(label)} cannot be read as a label"
    before, hole = label.values
    assert isinstance(before, ast.Constant)
    assert isinstance(hole, ast.FormattedValue)
    function, place = _owner(tree, call, ast.unparse(hole.value))
    for user in _calls(tree, (function,)):
        word = user.args[place]
        assert isinstance(word, ast.Constant), f"{ast.unparse(word)} is no constant"
        yield f"{before.value}{word.value}"


def _owner(tree: ast.Module, call: ast.Call, parameter: str) -> tuple[str, int]:
    """The function around that call which has the parameter, and the parameter's place."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        names = [argument.arg for argument in function.args.args if argument.arg != "self"]
        if parameter in names and call in ast.walk(function):
            return function.name, names.index(parameter)
    raise AssertionError(f"no function around line {call.lineno} has a parameter {parameter!r}")


def _calls(tree: ast.AST, names: tuple[str, ...]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in names:
            yield node
