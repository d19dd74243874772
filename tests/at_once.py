"""Threads for tests."""

import threading
from collections.abc import Callable


def at_once(*works: Callable[[], object]) -> None:
    """All of them side by side, each in a thread of its own, to their end; none may fail."""
    faults: list[BaseException] = []

    def do(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=do, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
