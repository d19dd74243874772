"""Whose work this program stands on, and under which terms."""

import re

from tests.licences import LIST, listed, locked


def test_each_locked_package_has_its_licence_listed() -> None:
    assert listed() == locked()
    assert "not said" not in LIST.read_text()


def test_every_locked_version_has_its_hash() -> None:
    lock = LIST.parent.parent.joinpath("requirements.lock").read_text()
    for entry in re.split(r"\n(?=[a-z0-9])", lock):
        assert "--hash=sha256:" in entry, entry.partition("\n")[0]
