"""What a check can say: the rules, and findings that break them."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error cannot be sent, or must not; a warning should be mended."""

    ERROR = "error"
    WARNING = "warning"


class Rule(StrEnum):
    """The rules by the names that machines know them by, in the order of the author's page."""

    severity: Severity
    why: str

    def __new__(cls, name: str, severity: Severity, why: str) -> "Rule":
        rule = str.__new__(cls, name)
        rule._value_ = name
        rule.severity = severity
        rule.why = why
        return rule

    UNREADABLE = (
        "unreadable",
        Severity.ERROR,
        "What is no plain file of UTF-8 text would not arrive as its author wrote it.",
    )
    COURSE = (
        "course",
        Severity.ERROR,
        "Without it the course cannot go live: no key is guessed, and none is passed over.",
    )
    FRONT_MATTER = (
        "front-matter",
        Severity.ERROR,
        "A lesson whose head cannot be read would leave at the wrong time or under no subject.",
    )
    TEMPLATE = (
        "template",
        Severity.ERROR,
        "A mail that cannot be rendered for everybody is sent to nobody.",
    )
    SUBJECT_EMPTY = (
        "subject-empty",
        Severity.ERROR,
        "A mail without a subject is refused, or taken for spam.",
    )
    TEXT_EMPTY = (
        "text-empty",
        Severity.ERROR,
        "Some read the text part alone, and a mail without one is easily taken for spam.",
    )
    ADDRESS_MISSING = (
        "address-missing",
        Severity.ERROR,
        "The law asks for the sender's postal address in each such mail.",
    )
    UNSUBSCRIBE_MISSING = (
        "unsubscribe-missing",
        Severity.ERROR,
        "Whoever finds no way out presses “spam”, and the law asks for one.",
    )
    HTML_CLIPPED = (
        "html-clipped",
        Severity.ERROR,
        "Gmail cuts a mail off after 102 KB, and with its end the way out and the address.",
    )
    LINK_MALFORMED = (
        "link-malformed",
        Severity.ERROR,
        "It leads nowhere from a mail, which has no address of its own to start from.",
    )
    IMAGE_ADDRESS = (
        "image-address",
        Severity.ERROR,
        "Mail programs load pictures from the web alone: this one would stay empty.",
    )
    PLACEHOLDER = (
        "placeholder",
        Severity.ERROR,
        "It was left for later, and later is when everybody reads it.",
    )
    LINK_DEAD = (
        "link-dead",
        Severity.ERROR,
        "Everybody who presses it ends on an error page.",
    )
    LINK_BROKEN = (
        "link-broken",
        Severity.WARNING,
        "Readers see the brackets in place of a link.",
    )
    LINK_LOCAL = (
        "link-local",
        Severity.WARNING,
        "It opens on the author's machine, and on no reader's.",
    )
    LINK_UNSURE = (
        "link-unsure",
        Severity.WARNING,
        "Perhaps it is dead, perhaps its server had a bad minute.",
    )
    IMAGE_ALT = (
        "image-alt",
        Severity.WARNING,
        "Many mail programs show no pictures at first; some readers never see any.",
    )
    SUBJECT_LONG = (
        "subject-long",
        Severity.WARNING,
        "A phone shows about 40 letters of a subject, a wide screen about 70.",
    )
    PREHEADER_LONG = (
        "preheader-long",
        Severity.WARNING,
        "No inbox shows more than about 140 letters behind a subject.",
    )
    HTML_LARGE = (
        "html-large",
        Severity.WARNING,
        "Gmail cuts a mail off after 102 KB; counting clicks makes each link longer on the way.",
    )
    MERGE_LARGE = (
        "merge-large",
        Severity.WARNING,
        "More does not fit into a shared request; such a mail is sent alone, which is slow.",
    )
    MERGE_MANY = (
        "merge-many",
        Severity.WARNING,
        "Each of them travels once for every reader.",
    )
    CONTRAST = (
        "contrast",
        Severity.WARNING,
        "Below 4.5 : 1 many cannot read it, least of all on a phone in the sun (WCAG 2, 1.4.3).",
    )
    LESSON_TWICE = (
        "lesson-twice",
        Severity.WARNING,
        "A copy that was never rewritten reaches people as the same mail again.",
    )
    SUBJECT_TWICE = (
        "subject-twice",
        Severity.WARNING,
        "In an inbox two mails of one subject look like one sent twice.",
    )
    FILE_IGNORED = (
        "file-ignored",
        Severity.WARNING,
        "It looks like a lesson, and is none: nobody gets it.",
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """One place to mend: where it is, what is wrong there, and what to do."""

    rule: Rule
    file: str
    line: int
    what: str
    mend: str

    @property
    def severity(self) -> Severity:
        return self.rule.severity

    @property
    def why(self) -> str:
        return self.rule.why


def in_order(findings: list[Finding]) -> list[Finding]:
    """By file and line, each once."""
    return sorted(set(findings), key=lambda one: (one.file, one.line, one.rule, one.what))
