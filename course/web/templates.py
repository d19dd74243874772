"""The pages' templates: the home's own before those that come with the program."""

from pathlib import Path

from jinja2 import FunctionLoader

from course import sources


def loader(home: Path) -> FunctionLoader:
    """All of them read at once: what cannot be read keeps the web from starting, in one line,
    and is nothing that a visitor runs into."""
    found = sources.web_templates(home)

    def load(name: str) -> tuple[str, str, None] | None:
        return (*found[name], None) if name in found else None

    return FunctionLoader(load)
