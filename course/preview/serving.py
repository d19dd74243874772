"""The preview's server: this machine alone, until Ctrl-C."""

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

HOST = "127.0.0.1"


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """The page asks after the files twice a second: nobody wants to read that."""


def server(app: Flask, port: int) -> BaseWSGIServer:
    """Bound to its port; `serve_forever` serves, and ends with Ctrl-C.

    It has threads: a browser opens connections in advance, and a single thread would wait on them.
    """
    return make_server(HOST, port, app, threaded=True, request_handler=_Quiet)
