"""What differs between two states of a course's files. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import SequenceMatcher

from course import curriculum
from course.curriculum import ABOUT_FILE, COURSE_FILE, LESSON_NAME, Lesson

# Where a text begins in its file changes nothing that anybody receives; neither does the number
# in the file's name, but for the order.
_POSITION = ("file", "number", "body_line", "subject_line", "preheader_line", "when_line")
_WHEN = ("after", "weekdays", "hours")
_APART = (*_POSITION, *_WHEN, "when")
_SAID = tuple(field.name for field in fields(Lesson) if field.name not in _APART)


@dataclass(frozen=True, slots=True)
class Changes:
    """Lessons by slug, and the other files, that differ."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    retimed: tuple[str, ...] = ()
    readdressed: tuple[str, ...] = ()  # for other readers than before
    moved: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()  # of the course's own, gone or of another kind

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))


def compare(slug: str, before: Mapping[str, str] | None, after: Mapping[str, str]) -> Changes:
    """What `after` changes; `before` is None where nothing was applied yet."""
    course = curriculum.parse(slug, after)
    former = curriculum.parse(slug, before) if before else None
    new, old = course.by_slug, former.by_slug if former else {}
    both = [name for name in new if name in old]
    moved = _moved([name for name in old if name in new], both)
    others = (set(after) | set(before)) if before else set()
    return Changes(
        added=tuple(name for name in new if name not in old),
        changed=tuple(name for name in both if _differ(new[name], old[name], _SAID)),
        retimed=tuple(name for name in both if _differ(new[name], old[name], _WHEN)),
        readdressed=tuple(name for name in both if _differ(new[name], old[name], ["when"])),
        moved=tuple(moved),
        removed=tuple(name for name in old if name not in new),
        files=tuple(
            name
            for name in sorted(others, key=_rank)
            if not LESSON_NAME.match(name) and (before or {}).get(name) != after.get(name)
        ),
        fields=tuple(
            name
            for name, field in (former.fields if former else {}).items()
            if name not in course.fields or course.fields[name].type is not field.type
        ),
    )


def _differ(new: Lesson, old: Lesson, names: Sequence[str]) -> bool:
    return any(getattr(new, name) != getattr(old, name) for name in names)


def _moved(old: list[str], new: list[str]) -> list[str]:
    """The fewest lessons whose moving makes the new order out of the old."""
    blocks = SequenceMatcher(a=old, b=new, autojunk=False).get_matching_blocks()
    stayed = {name for block in blocks for name in new[block.b : block.b + block.size]}
    return [name for name in new if name not in stayed]


def _rank(name: str) -> tuple[int, str]:
    """The course's own files stand before the templates."""
    return (0 if name in (COURSE_FILE, ABOUT_FILE) else 1), name
