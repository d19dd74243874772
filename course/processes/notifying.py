"""What systemd wants to know of a service of `Type=notify`, by the protocol of sd_notify(3)."""

import os
import socket
from contextlib import suppress

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def notify(state: str) -> None:
    """Tell whoever started this process; elsewhere than under systemd nobody asked for it.

    A word that cannot be brought is none: the service goes on, and the watchdog decides.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # a name in Linux's abstract namespace, no file
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
        mouth.setblocking(False)  # a systemd that does not listen holds nothing up
        mouth.sendto(state.encode(), address)
