"""The words that a person agrees to, as shown, with the version and hash that are kept."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from course.curriculum import Course as Curriculum
from course.enrollment import Wording


@dataclass(frozen=True, slots=True)
class Agreement:
    words: str
    version: str

    @property
    def wording(self) -> Wording:
        return Wording(self.version, sha256(self.words.encode()).hexdigest())


def agreement(texts: dict[str, Any], act: str, curriculum: Curriculum) -> Agreement:
    """What stands beside the button; `act` is `signup` or `confirm`."""
    words: str = texts["consent"][act] % {
        "sender": curriculum.sender.name,
        "course": curriculum.title,
        "count": len(curriculum.lessons),
    }
    return Agreement(words, str(texts["consent"]["version"]))
