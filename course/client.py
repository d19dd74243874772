"""SendGrid's own Python client, and what it must not write into a log."""

import logging
from typing import Any

# At DEBUG the library prints the key, and every recipient of a mail. A filter outlives whatever a
# logging configuration does to levels and handlers.
logging.getLogger("python_http_client.client").addFilter(lambda record: False)  # noqa: ARG005


def client(api_key: str, host: str) -> Any:
    """Calls are attributes of it, as in `client(key, host).mail.send.post()`."""
    from sendgrid import SendGridAPIClient  # slow, and only those who send or set up need it

    return SendGridAPIClient(api_key, host=host).client
