"""Whether a domain is there at all, as its name servers say."""

from dns.exception import DNSException
from dns.resolver import NXDOMAIN, Resolver

PATIENCE_SECONDS = 2.0


def is_missing(domain: str, resolver: Resolver | None = None) -> bool:
    """Only a plain "no such domain" says so. Whoever cannot be asked, or answers anything else,
    costs nobody their sign-up."""
    try:
        (resolver or Resolver()).resolve(domain, "MX", lifetime=PATIENCE_SECONDS)
    except NXDOMAIN:
        return True
    except (DNSException, OSError):
        return False
    return False
