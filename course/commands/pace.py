"""Lengths of time as they are typed: `2s`, `500ms`, `5m`."""

import re

import click

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Pace(click.ParamType[float]):
    """An option that takes such a length; the command gets seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,6})(ms|s|m|h)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is not a length of time; write it like 2s or 500ms", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]
