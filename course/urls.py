"""URLs, names and networks, as they are written in settings and by browsers. Nothing is asked of
the network."""

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit


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
