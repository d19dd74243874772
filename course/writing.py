"""Files that a person asked for: complete in their place, or not there and named."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO


@contextmanager
def whole(path: Path, opener: Callable[[str, int], int] | None = None) -> Iterator[TextIO]:
    """Where to write: the file stands in its place only when it is complete."""
    part = path.with_name(f"{path.name}.part")
    try:
        with open(part, "w", encoding="utf-8", newline="", opener=opener) as target:
            yield target
        part.replace(path)
    except OSError as error:
        raise unwritten(path, error) from None
    finally:
        with suppress(OSError):
            part.unlink()


def unwritten(path: Path, error: OSError) -> OSError:
    """The same, said of the file that was asked for, whatever it was called on the way."""
    return OSError(error.errno, error.strerror, str(path))
