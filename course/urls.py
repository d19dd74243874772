"""URLs, names and networks, as they are written in settings and by browsers. Nothing is asked of
the network."""

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit


def is_loopback_host(host: str) -> bool:
    """Whether a host name or address, without port, can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback


def is_loopback(url: str) -> bool:
    return is_loopback_host(urlsplit(url).hostname or "")


def is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port  # ValueError where it is no number
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in value


def without_path(url: str) -> str:
    """Who has the path may say that all is well: it is not shown."""
    return re.sub(r"(?<![:/])/[^/].*", "/…", url)


# `password=` and `sslpassword=` of PostgreSQL and Redis, and whatever else is named like a secret.
_SECRET_NAME = re.compile(r"password|secret|token", re.I)
_PARAMETER = re.compile(r"([?&])([^=&#]*)=([^&#]*)")


def without_secrets(url: str) -> str:
    """The URL of a server with `***` for each password, before the host and in the query."""

    def hidden(found: re.Match[str]) -> str:
        return f"{found[1]}{found[2]}=***" if _SECRET_NAME.search(found[2]) else found[0]

    return _PARAMETER.sub(hidden, _PASSWORD.sub(r"\1***\3", url))


_PASSWORD = re.compile(r"(://[^:/?#]*:)([^@]*)(@)")  # the library takes `/` in one, too


def secrets_of(url: str) -> set[str]:
    """Each password in such a URL: as it is written there, as it is meant, and in full quotes."""
    written = [found[2] for found in _PASSWORD.finditer(url)]
    written += [each[3] for each in _PARAMETER.finditer(url) if _SECRET_NAME.search(each[2])]
    meant = {read(one) for one in written for read in (unquote, unquote_plus)}
    quoted = {write(one, safe="") for one in meant for write in (quote, quote_plus)}
    return ({*written} | meant | quoted) - {""}


def network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no network; write it like 10.0.0.0/8") from None


def origin(text: str) -> str:
    """As a browser names it: no path, no capitals, no port that goes without saying."""
    parts = urlsplit(text)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(text))
    if not is_url(text) or not is_safe or parts.path.strip("/") or parts.query or "@" in text:
        raise ValueError(f"{text!r} is not an origin; write it like https://www.example.com")
    return origin_of(text)


def origin_of(url: str) -> str:
    """Scheme, host and port; ValueError where the port is no number."""
    parts = urlsplit(url)
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
