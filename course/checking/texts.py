"""What can be seen in the author's words themselves, without rendering them."""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

from course.checking.findings import Finding, Rule
from course.checking.scanning import blank, without_code, without_jinja
from course.curriculum import COURSE_FILE, Lesson

# “Insert the key here” is a sentence; “[insert … here]” and “insert link here” are none.
_PLACEHOLDERS = re.compile(
    r"\b(?:TODO|FIXME|XXX|INSERT [^.\n]{0,40}HERE)\b"
    r"|(?i:\blorem ipsum\b)"
    r"|(?i:[\[<({]\s*insert\b[^.\n]{0,40}?\bhere\b)"
    r"|(?i:\binsert (?:(?:a|an|the|your) )?(?:link|name|text|title|picture|image|photo|quote|date"
    r"|price|address|story|example|number) here\b)"
)
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)

PREHEADER_LETTERS = 140
_ALIKE = 0.8
_ENOUGH_TO_COMPARE = 25
_PHRASE = 4


def placeholders(name: str, shown: str, text: str) -> Iterator[Finding]:
    """In a whole file; in course.toml, comments are for the author alone."""
    visible = _COMMENT.sub(blank, text) if name == COURSE_FILE else without_code(text)
    for found in _PLACEHOLDERS.finditer(visible):
        words = " ".join(found[0].split())
        yield Finding(
            Rule.PLACEHOLDER,
            shown,
            line_at(text, found.start()),
            f"“{words}” still stands here",
            f"Write what belongs here. Where the word itself is meant, put it in `{words}`.",
        )


def preheaders(shown: str, lesson: Lesson) -> Iterator[Finding]:
    letters = len(without_jinja(lesson.preheader))
    if letters > PREHEADER_LETTERS:
        yield Finding(
            Rule.PREHEADER_LONG,
            shown,
            lesson.preheader_line,
            f"the preheader has {letters} letters",
            f"Cut it to {PREHEADER_LETTERS}, with what matters in the first 40.",
        )


def twins(where: str, lessons: Sequence[Lesson]) -> Iterator[Finding]:
    """Lessons that say the same, or are called the same."""
    phrases = {lesson.file: _phrases(lesson.body) for lesson in lessons}
    for first, second in combinations(lessons, 2):
        if first.subject.strip().casefold() == second.subject.strip().casefold():
            yield Finding(
                Rule.SUBJECT_TWICE,
                f"{where}{second.file}",
                second.subject_line,
                f"{first.file} has the same subject",
                "Say in each subject what only that lesson has.",
            )
        if _are_alike(phrases[first.file], phrases[second.file]):
            yield Finding(
                Rule.LESSON_TWICE,
                f"{where}{second.file}",
                second.body_line,
                f"nearly the same text as {first.file}",
                "Write this lesson, or remove the file.",
            )


def _phrases(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[at : at + _PHRASE]) for at in range(len(words) - _PHRASE + 1)}


def _are_alike(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> bool:
    if min(len(one), len(other)) < _ENOUGH_TO_COMPARE:
        return False
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) >= _ALIKE


def line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def line_of_word(text: str, word: str) -> int:
    """The line in which a word stands first; 1 where it does not stand as it is."""
    return line_at(text, max(text.find(word), 0))
