"""Jinja as this program uses it: sandboxed and strict, errors with file and line, expressions that
can be asked for one person after the other.

Pure: texts in, values out.
"""

import traceback
from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from operator import itemgetter
from typing import Any, cast

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateSyntaxError, nodes
from jinja2.environment import Template
from jinja2.exceptions import SecurityError, TemplateNotFound, UndefinedError
from jinja2.exceptions import TemplateError as JinjaError

from course import bounds
from course.bounds import Sandbox, bounded
from course.errors import TemplateError

Values = Mapping[str, Any]


class Part(StrEnum):
    """Where a template's output stands: it decides what a value is escaped for."""

    SUBJECT = "subject"
    TEXT = "text"
    HTML = "html"


def make_environment(part: Part) -> Environment:
    """The sandbox in which authors' templates run: strict, without access to Python's insides."""
    return Sandbox(
        autoescape=part is Part.HTML,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def evaluator(expression: nodes.Expr, environment: Environment) -> Callable[[Values], Any]:
    """Jinja's own `compile_expression`, for an expression that is parsed already and whose names
    are all in the values. What most mails print is read without going through Jinja."""
    match expression:
        case nodes.Name(name=name):
            return itemgetter(name)
        case nodes.Or(left=nodes.Name(name=name), right=nodes.Const(value=constant)):
            return lambda values: values[name] or constant
    assign = nodes.Assign(nodes.Name("result", "store"), expression, lineno=expression.lineno)
    tree = nodes.Template([assign], lineno=1)
    tree = bounded(tree)
    tree.set_environment(environment)
    run = environment.from_string(tree).root_render_func

    def evaluate(values: Values) -> Any:
        bounds.begin()
        # `Template.new_context` would copy the values and all of Jinja's globals, for each person.
        context = environment.context_class(environment, cast(dict[str, Any], values), None, {})
        deque(run(context), maxlen=0)
        return context.vars["result"]

    return evaluate


class TreeLoader(BaseLoader):
    """Compiles rewritten syntax trees where Jinja would compile source texts."""

    def __init__(self, trees: Mapping[str, nodes.Template]) -> None:
        self.trees = trees

    def load(self, environment: Environment, name: str, globals: Any = None) -> Template:
        if name not in self.trees:
            raise TemplateNotFound(name)
        tree = bounded(self.trees[name])
        tree.set_environment(environment)
        code = environment.compile(tree, name, name)
        return Template.from_code(environment, code, globals or {})


def refused(file: str, line: int, message: str) -> TemplateError:
    return TemplateError(f"{file}:{line}: {message}")


class located:  # noqa: N801 (reads as a word in `with located(…)`)
    """Turns Jinja's run-time errors into TemplateError with the template's file and line."""

    def __init__(self, sources: Mapping[str, str], name: str = "?") -> None:
        """`name` is the template that is at fault where none of `sources` was running."""
        self.sources = sources
        self.name = name

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, TemplateError) or not isinstance(error, Exception):
            return
        if isinstance(error, RecursionError):
            error = SecurityError("goes on without end, or is nested too deeply")
        frames = [f for f in traceback.extract_tb(trace) if f.filename in self.sources]
        if isinstance(error, TemplateSyntaxError):
            file = error.name if error.name in self.sources else self.name
            raise refused(file or "?", error.lineno, error.message or "") from None
        # SyntaxError: Python's own limits, such as that of twenty loops in each other.
        if not frames and not isinstance(error, JinjaError | SyntaxError):
            return
        file, line = (frames[-1].filename, frames[-1].lineno or 1) if frames else (self.name, 1)
        words = str(error) if isinstance(error, UndefinedError | SecurityError) else repr(error)
        raise refused(file, line, words) from None
