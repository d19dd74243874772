"""Addresses that look mistyped. Whoever typed one is asked; nothing is changed for them."""

from difflib import get_close_matches

# The domains that most people write from. A small one among them is here so that nobody who has it
# is asked whether they meant the big one.
COMMON = (
    *("gmail.com", "googlemail.com", "yahoo.com", "ymail.com", "rocketmail.com", "outlook.com"),
    *("hotmail.com", "live.com", "msn.com", "icloud.com", "me.com", "mac.com", "aol.com"),
    *("mail.com", "email.com", "gmx.com", "gmx.net", "gmx.de", "gmx.at", "gmx.ch", "web.de"),
    *("t-online.de", "freenet.de", "posteo.de", "mailbox.org", "proton.me", "protonmail.com"),
    *("fastmail.com", "zoho.com", "yandex.ru", "mail.ru", "yahoo.co.uk", "hotmail.co.uk"),
    *("btinternet.com", "orange.fr", "wanadoo.fr", "free.fr", "libero.it", "qq.com", "163.com"),
    *("comcast.net", "verizon.net", "att.net", "outlook.de", "hotmail.de", "yahoo.de", "live.de"),
    *("hotmail.fr", "yahoo.fr", "hotmail.it", "yahoo.it", "yahoo.es", "hotmail.es"),
)
_LIKENESS = 0.85  # two letters changed places in `gmail.com`


def suggestion(email: str) -> str | None:
    """The address that was perhaps meant."""
    local, _, domain = email.rpartition("@")
    if domain in COMMON:
        return None
    like = get_close_matches(domain, COMMON, n=1, cutoff=_LIKENESS)
    return f"{local}@{like[0]}" if like else None
