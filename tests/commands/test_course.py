"""`course` and `lesson`: what is live, what is on disk, and the way between."""

import json
import shutil
from pathlib import Path

from sqlalchemy import select

from course.changes import Changes, compare
from course.models import Audit, Cohort
from course.sources import read
from tests.commands.conftest import Minicourse, edit
from tests.world import World


def _listed(minicourse: Minicourse) -> dict[str, dict[str, object]]:
    found = json.loads(minicourse("course", "list", "--json").out)
    return {line["course"]: line for line in found}


def test_a_list_shows_what_is_live_and_who_learns(world: World, minicourse: Minicourse) -> None:
    world.join("ada@example.org")
    world.sign_up("pending@example.org")
    assert _listed(minicourse) == {
        "job-search": {
            "course": "job-search",
            "title": "Take the Interview Anyway",
            "state": "published",
            "revision": 1,
            "lessons": 7,
            "learners": 1,
            "changes_not_live": False,
        }
    }
    assert minicourse("course", "list").err == ""


def test_an_edit_waits_until_it_is_applied(world: World, minicourse: Minicourse) -> None:
    edit(world, "03-market.md", "after: 1", "after: 2")
    answer = minicourse("course", "list")
    assert "minicourse course apply job-search" in answer.err
    assert _listed(minicourse)["job-search"]["changes_not_live"] is True

    answer = minicourse("course", "apply", "job-search")
    assert answer.out == "job-search: revision 2 is live\n  lessons re-timed: market\n"
    assert _listed(minicourse)["job-search"]["revision"] == 2
    again = minicourse("course", "apply", "job-search")
    assert again.out == "job-search: nothing changed; revision 2 is live\n"


def test_a_folder_that_can_never_be_applied_is_told_why(
    world: World, minicourse: Minicourse
) -> None:
    lessons = world.settings.home / "lessons"
    shutil.copytree(lessons / "job-search", lessons / "Bad Name")
    for words in (["course", "list"], ["status"], ["init"]):
        answer = minicourse(*words)
        assert "rename the folder lessons/Bad Name: a-z" in " ".join(
            (answer.out + answer.err).split()
        )
        assert "apply Bad" not in answer.out + answer.err


def test_a_dry_run_of_apply_changes_nothing(world: World, minicourse: Minicourse) -> None:
    (world.settings.home / "lessons/job-search/05-plan-b.md").unlink()
    answer = minicourse("course", "apply", "job-search", "--dry-run")
    assert answer.out == "job-search: revision 2 would be live\n  lessons removed: plan-b\n"
    assert _listed(minicourse)["job-search"]["revision"] == 1


def test_an_edit_of_the_hour_counts_the_mails_that_wait_already(
    world: World, minicourse: Minicourse
) -> None:
    for name in ("ada", "kim"):
        world.join(f"{name}@example.com")
    world.live_through(0.5)
    world.pass_time(days=3, hours=7)
    world.tick()  # three days late: they wait for nine o'clock
    edit(world, "course.toml", '"09:00"', '"18:00"')
    before = [row.send_at for row in world.rows()]
    told = "  files changed: course.toml\n  2 planned mails move to another time\n"
    assert minicourse("course", "plan", "job-search").out == f"job-search\n{told}"
    assert json.loads(minicourse("course", "plan", "job-search", "--json").out)["moved_mails"] == 2
    apply = ("course", "apply", "job-search")
    assert minicourse(*apply, "--dry-run").out.endswith(f"would be live\n{told}")
    assert [row.send_at for row in world.rows()] == before
    assert minicourse(*apply).out.endswith(f"is live\n{told}")
    assert [row.send_at for row in world.rows()] != before


def test_a_broken_lesson_cannot_go_live(world: World, minicourse: Minicourse) -> None:
    edit(world, "03-market.md", "subject:", "topic:")
    answer = minicourse("course", "apply", "job-search")
    assert answer.status == 1
    assert "job-search/03-market.md:2: " in answer.err
    assert _listed(minicourse)["job-search"]["revision"] == 1


def test_a_new_folder_is_listed_applied_and_published(world: World, minicourse: Minicourse) -> None:
    lessons = world.settings.home / "lessons"
    shutil.copytree(lessons / "job-search", lessons / "second")
    assert _listed(minicourse)["second"]["state"] is None
    assert "not applied" in minicourse("course", "list").out

    answer = minicourse("course", "apply", "second")
    assert "lessons added: welcome, network" in answer.out
    assert "minicourse course publish second" in answer.err
    assert _listed(minicourse)["second"]["state"] == "draft"

    answer = minicourse("course", "publish", "second")
    assert answer.out == "second is published: http://127.0.0.1:8000/c/second fills evergreen\n"
    assert _listed(minicourse)["second"]["state"] == "published"
    with world.database.reading() as session:
        assert len(list(session.scalars(select(Cohort)))) == 2
        orders = [(row.action, row.detail) for row in session.scalars(select(Audit))]
    assert [name for name, _ in orders] == ["apply", "publish"]
    assert all(detail["course"] == "second" for _, detail in orders)


def test_changes_are_told_by_slug_whatever_the_file_is_called(world: World) -> None:
    before = dict(read(world.settings.home, "job-search").files)
    after = dict(before)
    after["01-first.md"] = after.pop("01-welcome.md").replace("---\n", "---\nslug: welcome\n", 1)
    after["09-market.md"] = after.pop("03-market.md")
    after["10-extra.md"] = before["03-market.md"]
    del after["05-plan-b.md"]
    after["about.md"] += "\nMore."
    assert compare("job-search", before, after) == Changes(
        added=("extra",), moved=("market",), removed=("plan-b",), files=("about.md",)
    )
    assert not compare("job-search", before, before)
    assert compare("job-search", None, before).added[0] == "welcome"


def test_a_short_name_that_two_courses_have_must_be_written_in_full(
    world: World, minicourse: Minicourse
) -> None:
    lessons = world.settings.home / "lessons"
    shutil.copytree(lessons / "job-search", lessons / "second")
    minicourse("course", "apply", "second")
    answer = minicourse("lesson", "show", "welcome")
    assert answer.status == 1
    assert "job-search/welcome, second/welcome" in answer.err
    assert minicourse("lesson", "show", "second/welcome").status == 0


def test_preview_writes_what_would_be_sent(
    world: World, minicourse: Minicourse, sandbox: object
) -> None:
    enrollment_id = world.join("kim@example.com", "Kim <b>")
    world.tick()
    answer = minicourse("lesson", "preview", "welcome", "--as", "kim@example.com")
    html, text = answer.out.split()
    assert html == f"{world.settings.home}/out/preview/job-search-welcome.html"
    sent = world.provider.requests[-1]
    (kim,) = sent.personalizations
    merged_html, merged_text = sent.html, sent.text
    for tag, value in kim.substitutions.items():
        merged_html = merged_html.replace(tag, value)
        merged_text = merged_text.replace(tag, value)
    assert Path(html).read_text() == merged_html
    assert Path(text).read_text() == merged_text
    assert world.state(enrollment_id) == "active"


def test_preview_shows_edits_that_are_not_live(world: World, minicourse: Minicourse) -> None:
    edit(world, "01-welcome.md", "The one exception", "The only exception")
    answer = minicourse("lesson", "preview", "welcome", "--name", "Kim")
    words = Path(answer.out.split()[1]).read_text()
    assert "The only exception" in words
    assert "Hi Kim," in words


def test_no_command_tells_or_keeps_what_a_link_leads_to(
    world: World, minicourse: Minicourse
) -> None:
    home = world.settings.home
    (home / "minicourse.keys").write_text("SECRET_KEY=1")
    about = home / "lessons" / "job-search" / "about.md"
    about.unlink()
    about.symlink_to(home / "minicourse.keys")
    note = home / "new-date.md"
    note.symlink_to(home / "minicourse.keys")
    for words in (
        ["course", "check", "job-search"],
        ["course", "apply", "job-search"],
        ["course", "plan", "job-search"],
        ["course", "list"],
        ["note", "send", str(note), "--dry-run"],
    ):
        answer = minicourse(*words)
        assert "SECRET_KEY" not in answer.out + answer.err
        assert answer.status in (1, 3) or words == ["course", "list"]  # which lists the others
        said = " ".join((answer.out + answer.err).split())
        assert "is a link, which is not followed" in said


def test_a_folder_that_cannot_be_read_does_not_hide_the_others(
    world: World, minicourse: Minicourse
) -> None:
    minicourse("course", "new", "rye")
    (world.settings.home / "lessons" / "rye" / "about.md").write_bytes(b"M\xfchle")
    answer = minicourse("course", "list")
    assert answer.status == 0
    assert "job-search" in answer.out
    assert "rye cannot be read: " in answer.err
    assert "minicourse course check rye" in answer.err
    assert _listed(minicourse)["rye"]["changes_not_live"]
    assert "minicourse course check" in minicourse("status").out
