"""One request and its answer under one deadline, and the knowledge whether its first byte left."""

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from email.message import Message
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.request import Request

_LONGEST_BODY = 1024 * 1024
_CHUNK = 64 * 1024


def unobserved(label: str) -> None: ...


class Wire:
    """One request and its answer under one deadline; knows whether the first byte has left.

    It stands in for the socket of an `HTTPConnection`: each step may take only what is left, so
    that a server which drips its answer byte by byte cannot hold the call longer. `reached` hears
    of its steps by name, so that a test can end the process there.
    """

    def __init__(
        self,
        body: bytes,
        deadline_seconds: float,
        tls: ssl.SSLContext | None,
        reached: Callable[[str], None] = unobserved,
    ) -> None:
        self._body = body
        self._ends = time.monotonic() + deadline_seconds
        self.tls = tls
        self.began = False
        self._reached = reached
        self._ended = False
        self._socket: socket.socket | None = None

    def exchange(self, _opener: object, request: Request, timeout: object = None) -> "_Reply":  # noqa: ARG002
        """Carry the library's request with our body; the signature is that of its
        `_make_request`."""
        connection = _Connection(request.host, self)
        # One call a connection: on one that was kept, a server that hangs up between two calls
        # looks like a lost answer, and a call carries a thousand people.
        own = {"Content-Type": "application/json", "Connection": "close"}
        headers = {**dict(request.header_items()), **own}
        try:
            connection.request(request.get_method(), request.selector, self._body, headers)
        except ConnectionError:
            # A server may answer before it has read everything, and hang up (413, 429).
            if not self.began:
                raise
        response = connection.getresponse()
        if self._ended:
            raise HTTPException("the answer broke off within its headers")
        return _Reply(response)

    def connect(self, host: str, port: int) -> None:
        self._reached("connecting")
        addresses = _resolve(host, port, self._left())
        for index, address in enumerate(addresses, 1):
            # An address that swallows packets leaves the others their share of the time.
            share = self._left() / (len(addresses) - index + 1)
            try:
                self._socket = socket.create_connection(address, timeout=share)
                break
            except OSError:
                if index == len(addresses):
                    raise
        self._ready.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            self._socket = self.tls.wrap_socket(self._ready, server_hostname=host)

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            sock = self._ready
            is_first, self.began = not self.began, True
            view = view[sock.send(view[:_CHUNK]) :]
            if is_first:
                self._reached("first byte")

    def recv_into(self, buffer: Any) -> int:
        count = self._ready.recv_into(buffer)
        self._ended = count == 0
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self))

    def close(self) -> None:
        """Not yet: the connection closes its socket as soon as the body's reader has it."""

    def hang_up(self) -> None:
        if self._socket:
            self._socket.close()

    @property
    def _ready(self) -> socket.socket:
        """The socket, about to do one step of what time is left."""
        assert self._socket
        self._socket.settimeout(self._left())
        return self._socket

    def _left(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the call's deadline is over")
        return left


class _Connection(HTTPConnection):
    """HTTP over a `Wire`."""

    def __init__(self, host: str, wire: Wire) -> None:
        self.default_port = 443 if wire.tls else 80
        super().__init__(host)
        self._wire = wire

    def connect(self) -> None:
        self._wire.connect(self.host, self.port)
        self.sock = self._wire  # as much of a socket as is used


class _Incoming(io.RawIOBase):
    """What arrives, for the buffered reader of an HTTP answer."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._wire.recv_into(buffer)


class _Reply:
    """An answer in the shape that the library reads. Its status stands, even if the rest of the
    body never comes."""

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response
        self._body = b"" if response.status == HTTPStatus.ACCEPTED else _body(response)

    def getcode(self) -> int:
        return self._response.status

    def info(self) -> Message:
        return self._response.headers

    def read(self) -> bytes:
        return self._body


def _body(response: HTTPResponse) -> bytes:
    try:
        return response.read(_LONGEST_BODY)
    except (OSError, HTTPException):
        return b""


def _resolve(host: str, port: int, seconds: float) -> list[tuple[str, int]]:
    """The addresses of a host. `getaddrinfo` knows no time-out, so it waits in a thread of its
    own, which is left behind when it is late."""
    found: Future[list[tuple[str, int]]] = Future()

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.set_result([(str(answer[4][0]), port) for answer in answers])
        except (OSError, ValueError) as error:  # ValueError: not a name at all
            found.set_exception(error)

    threading.Thread(target=look_up, daemon=True).start()
    return found.result(seconds)
