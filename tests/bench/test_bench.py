"""The benchmarks run, count what they should, and say it in eighty columns. How fast anything is,
no test asserts: that depends on who else works on the machine.

(That every mail is accepted and every event stored, each part checks itself while it measures.)
"""

from collections.abc import Iterable
from pathlib import Path

import orjson
import pytest
from sqlalchemy import URL

from tests.bench import __main__ as bench
from tests.bench import crowd, lists, pipeline, start, web
from tests.bench.figures import Figure, Rival
from tests.bench.plan import Plan
from tests.bench.report import WIDTH, Machine, Report

pytestmark = pytest.mark.e2e  # it measures for seconds

TINY = Plan(size=200, rounds=1, seconds=0.1, databases=("sqlite",))
ON_A_SERVER = Plan(size=200, rounds=1, seconds=0.1, databases=("postgresql",))


def names(figures: Iterable[Figure]) -> list[str]:
    """Of figures that are really there."""
    found = list(figures)
    assert all(sample > 0 for figure in found for sample in figure.samples)
    assert all(figure.ratio for figure in found if figure.rival)
    return [figure.name for figure in found]


def quietly(_text: str) -> None: ...


def test_the_pipeline_is_measured_against_the_loop_and_the_limit(tmp_path: Path) -> None:
    assert names(pipeline.measure(TINY, tmp_path, quietly)) == [
        "SQLite, API 0 ms",
        "SQLite, API 50 ms",
        "SQLite, hours late",
        "SQLite, of the limit",
    ]


@pytest.fixture
def on_the_tests_server(postgres_server: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    url = postgres_server.render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL_TEST", url)


@pytest.mark.e2e
@pytest.mark.usefixtures("on_the_tests_server")
def test_so_it_is_on_postgresql(tmp_path: Path) -> None:
    assert names(pipeline.measure(ON_A_SERVER, tmp_path, quietly)) == [
        "PostgreSQL, API 0 ms",
        "PostgreSQL, API 50 ms",
        "PostgreSQL, hours late",
        "PostgreSQL, of the limit",
    ]


def test_a_crowd_is_measured_idle_due_and_sent(tmp_path: Path) -> None:
    assert names(crowd.measure(TINY, tmp_path, quietly)) == [
        "SQLite database",
        "idle tick",
        "idle tick, foreseeing",
        "plan 20 due",
        "tick with 20 due",
        "planned and sent",
        "memory for 200",
        "stats overview",
        "stats lessons",
        "stats deliverability",
    ]


@pytest.mark.e2e
@pytest.mark.usefixtures("on_the_tests_server")
def test_so_is_one_on_postgresql(tmp_path: Path) -> None:
    assert len(names(crowd.measure(ON_A_SERVER, tmp_path, quietly))) == 10


@pytest.mark.e2e
def test_the_server_is_measured_against_the_same_work_in_process(tmp_path: Path) -> None:
    assert names(web.measure(TINY, tmp_path, quietly)) == ["webhook events", "sign-ups"]


def test_a_list_is_looked_at_taken_in_and_written_out(tmp_path: Path) -> None:
    assert names(lists.measure(TINY, tmp_path, quietly)) == [
        "preview of a list",
        "import of a list",
        "memory for 2,000 rows",
        "99 of 100 waits of another",
        "export of a list",
        "memory for the export",
    ]


def test_the_command_line_is_measured_against_python(tmp_path: Path) -> None:
    assert names(start.measure(TINY, tmp_path, quietly)) == ["minicourse --help"]


# The report -------------------------------------------------------------------------------------


LARGE = Figure(
    *("pipeline", "PostgreSQL, of the limit", "/s", [123_456.7, 9.0, 123_456.7]),
    rival=Rival("limit", [246_913.4, 1.0, 246_913.4]),
    is_share=True,
    goal="≥ 20,000",
)


def test_the_middle_round_counts_and_the_middle_ratio() -> None:
    assert (LARGE.value, LARGE.ratio) == (123_456.7, 0.5)


def test_a_report_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Report(Plan(), Machine.here(), [LARGE]).print()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    words = "PostgreSQL, of the limit 123,457 /s limit: 246,913 50% ≥ 20,000"
    assert words in [" ".join(line.split()) for line in lines]


def test_json_holds_every_sample() -> None:
    found = orjson.loads(Report(TINY, Machine.here(), [LARGE]).as_json())
    assert found["figures"][0]["samples"] == LARGE.samples
    assert found["figures"][0]["ratio"] == LARGE.ratio
    assert found["machine"]["synced_write_ms"] > 0
    assert found["plan"]["size"] == TINY.size


def test_a_part_that_is_not_there_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.options(["--only", "start,stop"])
    assert (
        "no part 'stop'; there is: pipeline, crowd, web, import, start" in capsys.readouterr().err
    )
