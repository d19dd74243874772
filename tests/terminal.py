"""The command line as a person meets it: words in, exit status and two streams out."""

import sys
from dataclasses import dataclass

import pytest

import cli


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> Answer:
    """Run `minicourse WORDS` in this process."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["minicourse", *words])
    status: object = 0
    try:
        cli.main()
    except SystemExit as ended:
        status = ended.code
    out, err = capsys.readouterr()
    assert isinstance(status, int)
    return Answer(status, out, err)
