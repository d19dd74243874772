"""The few errors that people see: each says what is wrong, names the value and the next step.

The edges translate them: the command line prints one line on stderr and exits 1, the web
answers 4xx. Nothing below the edges knows of Click or HTTP.
"""


class MinicourseError(Exception):
    """Something that a person can mend; its text is the whole message, without a trace."""


class SettingsError(MinicourseError):
    """One or more settings are missing or wrong; the text lists all of them at once."""


class DatabaseError(MinicourseError):
    """The database is not there, not migrated or not ours; the text says where and what next."""


class ModeError(MinicourseError):
    """A sandbox database pointed at the real world, or a live one at a stand-in."""


class CourseError(MinicourseError):
    """A course's files do not make a course; the text starts with `file:line:`."""


class TemplateError(CourseError):
    """A lesson or layout cannot be rendered or split; the text starts with `file:line:`."""


class NotFoundError(MinicourseError):
    """A course, lesson, cohort or person of that name does not exist."""


class RefusedError(MinicourseError):
    """What was asked cannot be done in the present state; the text says why and what can."""


class InvalidInputError(MinicourseError):
    """A value that a person typed (an address, a zone, a date) is not one."""


class UnsendableError(InvalidInputError):
    """An e-mail address that is one, but of a kind that the provider does not send to."""
