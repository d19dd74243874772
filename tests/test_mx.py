"""Whether a domain is there: a real question over the network, to name servers of our own."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import pytest
from dns.rcode import Rcode

from course import mx


@contextmanager
def name_server(answer: Rcode | None) -> Iterator[dns.resolver.Resolver]:
    """It says the same to everybody, or (None) nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)

        def serve() -> None:
            while True:
                asked, whom = server.recvfrom(4096)
                if not asked:
                    return
                reply = dns.message.make_response(dns.message.from_wire(asked))
                reply.set_rcode(answer if answer is not None else dns.rcode.SERVFAIL)
                if answer is not None:
                    server.sendto(reply.to_wire(), whom)

        thread = Thread(target=serve)
        thread.start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], server.getsockname()[1]
        try:
            yield resolver
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", server.getsockname())
            thread.join()


@pytest.mark.parametrize(
    ("answer", "is_missing"),
    [
        (dns.rcode.NXDOMAIN, True),
        (dns.rcode.NOERROR, False),  # there, though without an MX
        (dns.rcode.SERVFAIL, False),
        (dns.rcode.REFUSED, False),
        (None, False),
    ],
)
def test_only_a_plain_no_refuses(
    answer: Rcode | None, is_missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mx, "PATIENCE_SECONDS", 0.3)
    with name_server(answer) as resolver:
        assert mx.is_missing("nowhere.example", resolver) is is_missing


def test_a_name_that_no_name_server_could_be_asked_for_is_no_reason() -> None:
    assert not mx.is_missing("x" * 80 + ".example", dns.resolver.Resolver(configure=False))
