"""How one template serves a thousand people: split on Jinja's syntax tree into a skeleton with
merge tags, and for each recipient the tags' values.

A recipient's field may stand in two kinds of place: in a printed expression made of fields and
constants alone (it becomes one merge tag), and in the test of an `if` made of those alone (its
truth becomes part of the grouping key). Anywhere else it is refused with file, line and advice.
So a skeleton is rendered without any personal value in reach, and sharing it can never be wrong.

Pure: texts in, values out.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, meta, nodes
from jinja2.environment import Template
from jinja2.visitor import NodeTransformer
from markupsafe import escape

from course import bounds
from course.bounds import METHODS
from course.jinja import Part, TreeLoader, Values, evaluator, located, make_environment, refused

# One truth for each test: true, false, or the words of the error that asking it raised.
Key = tuple[bool | str, ...]


# Filters and methods that look at their argument alone and return plain text or numbers.
FILTERS = frozenset(
    "abs capitalize center count d default first float int join last length list lower replace "
    "reverse round string sum title trim truncate unique upper urlencode wordcount".split()
)
_OWN_NODES = (
    nodes.Const,
    nodes.Getitem,
    nodes.Slice,
    nodes.CondExpr,
    nodes.BinExpr,
    nodes.UnaryExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.Concat,
    nodes.Test,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.Pair,
    nodes.Keyword,
)
# Blocks that take what is printed inside them and do something with it: a tag would not survive.
_CAPTURING = (nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.AssignBlock)

_ADVICE = (
    "a recipient's field may be printed ({{ name }}, {{ name or 'there' }}) or tested "
    "({% if zone == 'Asia/Tokyo' %}), alone or with constants"
)


_acts = re.compile("[&<>\"']").search


@dataclass(frozen=True, slots=True)
class Tag:
    """A merge tag and the expression that it stands for."""

    text: str
    expression: nodes.Expr
    literal: Callable[[Values], str]  # a person's text, escaped for the part it stands in
    part: Part
    file: str
    line: int

    @property
    def names(self) -> list[str]:
        """The fields that the expression is made of."""
        return [name.name for name in _names(self.expression)]

    def value(self, values: Values) -> str:
        """The same; raises TemplateError where this person's values make nothing of it."""
        try:
            return self.literal(values)
        except Exception as error:
            names = ", ".join(f"{name} = {values.get(name)!r}" for name in self.names)
            raise refused(self.file, self.line, f"{error}, where {names}") from None


def _literal(evaluate: Callable[[Values], Any], part: Part) -> Callable[[Values], str]:
    """Called for each person and tag, and most values need nothing done to them."""

    def text(values: Values) -> str:
        found = evaluate(values)
        return found if type(found) is str else str(found)

    def html(values: Values) -> str:
        found = evaluate(values)
        return found if type(found) is str and not _acts(found) else str(escape(found))

    return html if part is Part.HTML else text


@dataclass
class Splitter:
    """The tags and tests of one message, over all of its templates."""

    fields: frozenset[str]
    secret: str
    tags: list[Tag] = field(default_factory=list)
    tests: list[tuple[nodes.Expr, Callable[[Values], Any]]] = field(default_factory=list)

    def copy(self) -> "Splitter":
        """Another that goes on from here: what is split already keeps its tags and tests."""
        return replace(self, tags=list(self.tags), tests=list(self.tests))

    def split(self, name: str, sources: Mapping[str, str], part: Part, known: set[str]) -> "Split":
        """Compile the template `name` with all that it reaches in `sources`.

        `known` are the names that a render will bring. Raises TemplateError.
        """
        environment = make_environment(part)
        closure = _Closure(environment, sources, self.fields)
        bounds.begin()
        # What is made of constants alone is calculated at once, and may fail at once.
        with located(sources, name):
            closure.follow(name)
            closure.refuse_undeclared(known | self.fields)
            rewriter = _Rewriter(self, environment, part)
            trees = {file: rewriter.rewrite(file, tree) for file, tree in closure.trees.items()}
            environment.loader = TreeLoader(trees)
            return Split(environment.get_template(name), sources)

    def tag_for(
        self, expression: nodes.Expr, part: Part, environment: Environment, file: str
    ) -> str:
        # One for each file, so that a tag knows the place that an error has to name.
        for tag in self.tags:
            if tag.part is part and tag.file == file and tag.expression == expression:
                return tag.text
        text = f"x{self.secret}{len(self.tags):04d}x"
        literal = _literal(evaluator(expression, environment), part)
        self.tags.append(Tag(text, expression, literal, part, file, expression.lineno))
        return text

    def test_for(self, expression: nodes.Expr, environment: Environment) -> str:
        for number, (known, _) in enumerate(self.tests):
            if known == expression:
                return _test_name(number)
        self.tests.append((expression, evaluator(expression, environment)))
        return _test_name(len(self.tests) - 1)

    def key(self, values: Values) -> Key:
        """What decides the skeleton for this person: the truth of each test."""
        return tuple([_truth(evaluate, values) for _, evaluate in self.tests])


@dataclass(frozen=True, slots=True)
class Split:
    """A compiled template that knows no recipient."""

    template: Template
    sources: Mapping[str, str]

    def render(self, context: Values, key: Key) -> str:
        """The text with merge tags, for everyone of that key; raises TemplateError."""
        truths = {_test_name(number): _revived(truth) for number, truth in enumerate(key)}
        bounds.begin()
        with located(self.sources):
            return self.template.render({**context, **truths})


def _truth(evaluate: Callable[[Values], Any], values: Values) -> bool | str:
    try:
        return bool(evaluate(values))
    except Exception as error:
        # In a branch that this person never reaches it must not matter; see `_revived`.
        return f"{type(error).__name__}: {error}"


def _revived(truth: bool | str) -> Any:
    """A test that could not be answered raises when, and only when, the template asks it."""
    return StrictUndefined(hint=truth) if isinstance(truth, str) else truth


def _test_name(number: int) -> str:
    return f"_test_{number}"


class _Closure:
    """All templates that one template reaches through extends, include and import."""

    def __init__(
        self, environment: Environment, sources: Mapping[str, str], fields: frozenset[str]
    ) -> None:
        self.environment = environment
        self.sources = sources
        self.fields = fields
        self.trees: dict[str, nodes.Template] = {}

    def follow(self, name: str) -> None:
        if name in self.trees:
            return
        tree = self.trees[name] = self._parse(name)
        if bounds.size(tree) > bounds.MOST_NODES:
            raise refused(name, 1, "has too many words of the template language")
        for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
            for target in self._targets(name, node):
                if target in self.sources:
                    self.follow(target)
                elif not getattr(node, "ignore_missing", False):
                    raise refused(name, node.lineno, f"there is no template {target!r}")

    def refuse_undeclared(self, known: set[str]) -> None:
        """Names that nothing brings are errors now, not when a mail is due."""
        assigned = {
            node.name
            for tree in self.trees.values()
            for node in tree.find_all(nodes.Name)
            if node.ctx != "load"
        }
        for file, tree in self.trees.items():
            for name in sorted(meta.find_undeclared_variables(tree) - known - assigned):
                line = next(n.lineno for n in tree.find_all(nodes.Name) if n.name == name)
                fields = ", ".join(sorted(self.fields))
                raise refused(file, line, f"{name!r} is not defined; a recipient has: {fields}")

    def _parse(self, name: str) -> nodes.Template:
        try:
            return self.environment.parse(self.sources[name], name, name)
        except TemplateSyntaxError as error:
            raise refused(name, error.lineno, error.message or "cannot be read") from None

    def _targets(self, file: str, node: Any) -> Iterator[str]:
        try:
            target = node.template.as_const()
        except nodes.Impossible:
            raise refused(
                file, node.lineno, "the name of a template must stand there literally"
            ) from None
        targets = target if isinstance(target, list | tuple) else [target]
        if isinstance(node, nodes.Include) and not node.with_context:
            self._refuse_fields(targets, "an include without context")
        if isinstance(node, nodes.Import | nodes.FromImport):
            self._refuse_fields(targets, "an imported template")
        yield from targets

    def _refuse_fields(self, targets: Sequence[str], what: str) -> None:
        for target in targets:
            if target not in self.sources:
                continue
            for name in self._parse(target).find_all(nodes.Name):
                if name.name in self.fields:
                    raise refused(target, name.lineno, f"{name.name!r} in {what}: {_ADVICE}")


class _Rewriter(NodeTransformer):
    """Puts tags for printed fields and context names for tested ones; refuses the rest."""

    def __init__(self, splitter: Splitter, environment: Environment, part: Part) -> None:
        self.splitter = splitter
        self.environment = environment
        self.part = part
        self.file = ""
        self.captured = 0

    def rewrite(self, file: str, tree: nodes.Template) -> nodes.Template:
        self.file = file
        rewritten: nodes.Template = self.visit(tree)
        for node in rewritten.find_all(nodes.Name):
            if node.name in self.splitter.fields:
                self._refuse(node)
        rewritten.set_environment(self.environment)
        return rewritten

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        capturing = isinstance(node, _CAPTURING)
        self.captured += capturing
        if self.captured and isinstance(node, nodes.Block | nodes.Include):
            raise refused(
                self.file, node.lineno, "a block or include cannot stand inside this one; move it"
            )
        visited: nodes.Node = super().generic_visit(node, *args, **kwargs)
        self.captured -= capturing
        return visited

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802 (Jinja's way)
        node.nodes = [self._printed(child) for child in node.nodes]
        return node

    def visit_If(self, node: nodes.If) -> nodes.Node:  # noqa: N802
        if self._mentions(node.test) and not self.captured:
            test = cast(nodes.Expr, node.test)
            self._require_own(test)
            name = self.splitter.test_for(test, self.environment)
            node.test = nodes.Name(name, "load", lineno=node.lineno)
        return self.generic_visit(node)

    def _printed(self, child: nodes.Expr) -> nodes.Expr:
        if not self._mentions(child):
            self._refuse_altered_blocks(child)
            return child
        if self.captured:
            self._refuse(child)
        self._require_own(child)
        tag = self.splitter.tag_for(child, self.part, self.environment, self.file)
        return nodes.TemplateData(tag, lineno=child.lineno)

    def _refuse_altered_blocks(self, expression: nodes.Expr) -> None:
        """`{{ super() }}` may hold tags, so nothing may change what it returns."""
        for call in expression.find_all(nodes.Call):
            name = call.node
            if isinstance(name, nodes.Getattr):
                name = name.node
            if isinstance(name, nodes.Name) and name.name in ("super", "self"):
                raise refused(self.file, call.lineno, f"{name.name}() may only be printed as it is")

    def _mentions(self, node: nodes.Node) -> bool:
        return any(name.name in self.splitter.fields for name in _names(node))

    def _require_own(self, expression: nodes.Expr) -> None:
        """Only fields, constants, and methods and filters that are known to be harmless."""
        for name in _names(expression):
            if name.name not in self.splitter.fields:
                raise refused(
                    self.file,
                    name.lineno,
                    f"{name.name!r} is mixed with a recipient's field; {_ADVICE}",
                )
        self._require_harmless(expression)

    def _require_harmless(self, node: nodes.Node) -> None:
        match node:
            case nodes.Name():
                return
            case nodes.Filter() if node.name not in FILTERS:
                raise refused(
                    self.file,
                    node.lineno,
                    f"the filter {node.name!r} cannot be used on a recipient's field; "
                    f"these can: {', '.join(sorted(FILTERS))}",
                )
            case nodes.Call():
                self._require_method(node)
                return
            case nodes.Filter():
                pass
            case _ if not isinstance(node, _OWN_NODES):
                self._refuse(node)
        for child in node.iter_child_nodes():
            self._require_harmless(child)

    def _require_method(self, call: nodes.Call) -> None:
        method = call.node
        if not isinstance(method, nodes.Getattr) or method.attr not in METHODS:
            raise refused(self.file, call.lineno, "a call with a recipient's field; " + _ADVICE)
        if call.dyn_args is not None or call.dyn_kwargs is not None:
            self._refuse(call)
        for child in (method.node, *call.args, *call.kwargs):
            self._require_harmless(child)

    def _refuse(self, node: nodes.Node) -> None:
        own = (name.name for name in _names(node) if name.name in self.splitter.fields)
        name = next(own, "a recipient's field")
        raise refused(self.file, node.lineno, f"{name!r} cannot stand here: {_ADVICE}")


def _names(node: nodes.Node) -> list[nodes.Name]:
    return [node] if isinstance(node, nodes.Name) else list(node.find_all(nodes.Name))


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A mail for everyone of one key: finished but for its merge tags."""

    subject: str
    text: str
    html: str
    tags: tuple[Tag, ...]  # those that stand in it

    def substitutions(self, values: Values) -> dict[str, str]:
        """Tag → this person's text; TemplateError where their values make nothing of one."""
        try:
            return {tag.text: tag.literal(values) for tag in self.tags}
        except Exception:
            return {tag.text: tag.value(values) for tag in self.tags}  # to say which, and why


@dataclass(frozen=True, slots=True)
class Mail:
    """What one person reads."""

    subject: str
    text: str
    html: str


def merge(skeleton: Skeleton, substitutions: Mapping[str, str]) -> Mail:
    """Replace the tags, as the provider does: plain text, once, whatever the values look like."""
    if not substitutions:
        return Mail(skeleton.subject, skeleton.text, skeleton.html)
    pattern = re.compile("|".join(map(re.escape, substitutions)))

    def replace(text: str) -> str:
        return pattern.sub(lambda match: substitutions[match[0]], text)

    return Mail(replace(skeleton.subject), replace(skeleton.text), replace(skeleton.html))
