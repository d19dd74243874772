"""Settings with which mail could go to real people."""

from pathlib import Path

from course.settings import Settings

REAL = {
    "SENDGRID_API_KEY": "SG.a-key",
    "PUBLIC_URL": "https://course.example.com",
    "MAIL_FROM": "robin@example.com",
    "POSTAL_ADDRESS": "1 High Street, Springfield",
}


def real_settings(home: Path, **over: object) -> Settings:
    values = {name.lower(): value for name, value in REAL.items()} | over
    return Settings(home=home, **values).with_made_keys()
