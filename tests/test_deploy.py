"""What runs it on a server: files that name only what exists, commands that are as written."""

import os
import re
import shlex
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from course.settings import SOURCE_ROOT
from tests.terminal import run
from tests.test_docs import blocks, commands, rows, section
from tests.world import make_home

GOING_LIVE = SOURCE_ROOT / "docs" / "going-live.md"
UPGRADING = SOURCE_ROOT / "docs" / "upgrading.md"
SCALING = SOURCE_ROOT / "docs" / "scaling.md"
DOCKERFILE = (SOURCE_ROOT / "Dockerfile").read_text().replace("\\\n", " ")
COMPOSE = SOURCE_ROOT / "deploy" / "single" / "compose.yaml"
CADDYFILE = SOURCE_ROOT / "deploy" / "single" / "Caddyfile"
STAGES = DOCKERFILE.split("\nFROM ")[1:]


def copied() -> list[str]:
    """What the Dockerfile takes from the repository."""
    found = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [name for line in found for name in line.split()[:-1]]


# Docker -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", copied())
def test_what_the_image_is_made_of_exists_and_is_let_in(name: str) -> None:
    assert (SOURCE_ROOT / name).exists()
    assert f"!{name}" in (SOURCE_ROOT / ".dockerignore").read_text().splitlines()


def test_what_the_program_needs_beside_its_code_is_in_the_image() -> None:
    project = tomllib.loads((SOURCE_ROOT / "pyproject.toml").read_text())
    modules = [f"{name}.py" for name in project["tool"]["setuptools"]["py-modules"]]
    assert {*modules, "course", "templates", "alembic", "alembic.ini"} <= set(copied())
    assert ".env.example" in copied()  # `init` writes it into the home


@pytest.mark.parametrize("name", [".env", "minicourse.db", "minicourse.keys", "backups", ".git"])
def test_no_secret_can_slip_into_the_image(name: str) -> None:
    first, *rest = [
        line
        for line in (SOURCE_ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert first == "*"
    let_in = [line.removeprefix("!") for line in rest if line.startswith("!")]
    assert not any(fnmatch(name, one) for one in let_in)


def test_the_image_is_installed_by_hashes_and_has_no_build_tools() -> None:
    installs = re.findall(r"pip install (.+?)(?:&&|$)", STAGES[0], re.MULTILINE)
    for words in installs:
        upgrades_pip_itself = "pip>=" in words
        is_the_program = "--no-deps" in words and "--editable ." in words
        assert "--require-hashes" in words or upgrades_pip_itself or is_the_program, words
    assert "uninstall --yes setuptools pip" in STAGES[0]
    assert not re.search(r"pip install|apt-get", STAGES[1])


def test_the_image_runs_as_nobody_special_and_says_whether_it_is_well() -> None:
    assert len(STAGES) == 2
    user = re.findall(r"^USER (\w+)$", STAGES[1], re.MULTILINE)
    assert user == ["minicourse"]
    assert "/healthz" in re.findall(r"^HEALTHCHECK .+$", STAGES[1], re.MULTILINE)[0]
    assert re.findall(r"^VOLUME (.+)$", STAGES[1], re.M) == re.findall(
        r"MINICOURSE_HOME=(\S+)", STAGES[1]
    )


def test_the_image_starts_a_command_that_exists() -> None:
    (words,) = re.findall(r"^CMD (\[.+\])$", STAGES[1], re.MULTILINE)
    program, name, *options = yaml.safe_load(words)
    assert program == "minicourse"
    dict(commands())[name].make_context(name, list(options))


def test_the_two_services_fit_the_image_and_the_caddyfile() -> None:
    file = yaml.safe_load(COMPOSE.read_text())
    app, caddy = file["services"]["app"], file["services"]["caddy"]
    assert set(file["services"]) == {"app", "caddy"}
    assert ((COMPOSE.parent / app["build"]) / "Dockerfile").resolve().exists()
    lessons, inside, _ = next(one.split(":") for one in app["volumes"] if one.startswith("."))
    assert (COMPOSE.parent / lessons).is_dir()
    (home,) = re.findall(r"^VOLUME (.+)$", DOCKERFILE, re.MULTILINE)
    assert (inside, f"home:{home}") == (f"{home}/lessons", app["volumes"][0])
    named = {one.split(":")[0] for service in (app, caddy) for one in service["volumes"]}
    assert set(file["volumes"]) == {name for name in named if not name.startswith(".")}
    port = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)[0]
    assert caddy["command"].endswith(f"--to app:{port}")
    assert f"127.0.0.1:{port}" in CADDYFILE.read_text()
    assert "ports" not in app  # nobody comes in but through Caddy


# The pages of the documentation -----------------------------------------------------------------


def lines(page: Path) -> list[str]:
    """What is typed on a server, which needs a system of its own, or here."""
    shell = [one.text for one in blocks(page.read_text()) if one.language in ("bash", "sh")]
    return [line.strip() for text in shell for line in text.splitlines() if line.strip()]


def written(page: Path) -> list[list[str]]:
    """The words after each `minicourse` in them."""
    found = []
    for line in lines(page):
        if line.startswith("print="):  # and stands for it in what follows
            continue
        line = line.replace("$print ", "minicourse service print ").partition("|")[0]
        if command := re.search(r"(?:^|\.venv/bin/|exec app )minicourse (.+)", line):
            found.append(shlex.split(command[1]))
    return found


@pytest.mark.parametrize(
    "words", written(GOING_LIVE) + written(UPGRADING) + written(SCALING), ids=" ".join
)
def test_every_command_for_a_server_is_one_that_exists(words: list[str]) -> None:
    known = dict(commands())
    name = next(name for name in (" ".join(words[:2]), words[0]) if name in known)
    known[name].make_context(name, words[len(name.split()) :])


def test_the_commands_for_a_server_are_found() -> None:
    names = {" ".join(words[:2]) for words in written(GOING_LIVE) + written(UPGRADING)}
    assert {"init", "service print", "sendgrid setup", "live", "db restore"} <= names


def test_the_first_start_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = make_home(tmp_path / "home")
    monkeypatch.setenv("MINICOURSE_HOME", str(home))
    answer = run(monkeypatch, capsys, "init")
    shown = next(b.text for b in blocks(section(GOING_LIVE, "3. minicourse")) if "Made" in b.text)
    assert (answer.out + answer.err).replace(str(home), "/srv/minicourse") == shown


def test_every_setting_of_the_page_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With them as they stand there, `live` has nothing to say about settings any more."""
    from course.settings import Settings

    (text,) = [b.text for b in blocks(section(GOING_LIVE, "4. The settings")) if "KEY" in b.text]
    (tmp_path / ".env").write_text(text)
    assert Settings.unknown_names(tmp_path) == []
    assert Settings.load_from(tmp_path).live_mail_problems == []


def test_each_line_of_live_is_explained() -> None:
    """The names stand in the source: which of them a run shows depends on the account."""
    source = (SOURCE_ROOT / "course" / "readiness.py").read_text()
    told = "".join(row[0] for row in rows(section(GOING_LIVE, "7. Live")))
    for name in ("mail host", "public address", "key", "sender", "domain", "postal address"):
        assert f'"{name}"' in source
        assert f"`{name}`" in told
    for name in ("webhook", "limit", "test mail", "DKIM", "SPF", "DMARC"):
        assert f'"{name}"' in source
        assert f"`{name}`" in told


@pytest.mark.parametrize("status", [0, 3])
def test_an_upgrade_that_is_done_says_so_whatever_doctor_found(status: int, tmp_path: Path) -> None:
    """Run by make, with programs in the place of git and of ours."""
    for name, script in (("git", "exit 0"), ("minicourse", f'[ "$1" = db ] || exit {status}')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    words = ["make", "-f", str(SOURCE_ROOT / "Makefile"), "upgrade", f"BIN={tmp_path}", "MAKE=true"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    ran = subprocess.run(
        words, cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=False
    )
    last = ran.stdout.splitlines()[-1]
    assert last.startswith("The upgrade is done.")
    assert (ran.returncode, "What doctor marks with ✗" in last) == (
        (2, True) if status else (0, False)
    )


def test_upgrade_is_a_backup_before_anything_changes() -> None:
    makefile = (SOURCE_ROOT / "Makefile").read_text()
    steps = re.findall(r"^upgrade:.*\n((?:\t.+\n)+)", makefile, re.MULTILINE)[0]
    order = ("git pull", "install", "db backup", "db upgrade", "doctor")
    assert sorted(order, key=steps.index) == list(order)
    assert "/backups/" in (SOURCE_ROOT / ".gitignore").read_text().splitlines()


# The fleet --------------------------------------------------------------------------------------

FLEET = SOURCE_ROOT / "deploy" / "fleet"


def fleet_services() -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = yaml.safe_load((FLEET / "compose.yaml").read_text())
    return found["services"]  # type: ignore[return-value]


def words_of(text: object) -> list[str]:
    """What stands after `minicourse`."""
    return shlex.split(str(text))[1:]


@pytest.mark.parametrize(
    "words",
    [
        *(words_of(s["command"]) for s in fleet_services().values() if "build" in s),
        *(
            words_of(re.findall(r"^ExecStart=(.+)$", unit.read_text(), re.MULTILINE)[0])
            for unit in sorted(FLEET.glob("*.service"))
        ),
    ],
    ids=" ".join,
)
def test_what_a_fleet_starts_are_commands_that_exist(words: list[str]) -> None:
    name, *options = words
    dict(commands())[name].make_context(name, options)


def test_a_fleet_has_two_of_everything_that_may_be_lost() -> None:
    services = fleet_services()
    assert {
        name: service["deploy"]["replicas"]  # type: ignore[index]
        for name, service in services.items()
        if "deploy" in service
    } == {"web": 2, "scheduler": 2, "worker": 2}
    assert {"postgres", "redis", "caddy", "upgrade"} < set(services)
    for name in ("web", "scheduler", "worker"):
        assert services[name]["environment"] == services["upgrade"]["environment"]
    assert not any("ports" in service for name, service in services.items() if name != "caddy")


def test_the_units_of_a_fleet_say_where_they_belong() -> None:
    for unit in FLEET.glob("*.service"):
        assert f"# /etc/systemd/system/{unit.name}\n" in unit.read_text()
