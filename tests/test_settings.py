"""Settings: from the environment, `.env` and files; all faults at once, no secret shown."""

from pathlib import Path

import pytest

from course.errors import SettingsError
from course.settings import SANDBOX_HOST, Settings
from course.urls import is_loopback


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINICOURSE_HOME", str(tmp_path))
    return tmp_path


def test_nothing_needs_to_be_set(home: Path) -> None:
    settings = Settings.load()
    assert settings.database == f"sqlite:///{home}/minicourse.db"
    assert settings.sandboxed
    assert settings.mail_host == SANDBOX_HOST


def test_the_environment_comes_before_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".env").write_text("MAIL_FROM=file@example.org\nPOSTAL_ADDRESS='Street 1'\n")
    monkeypatch.setenv("MAIL_FROM", "shell@example.org")
    settings = Settings.load()
    assert (settings.mail_from, settings.postal_address) == ("shell@example.org", "Street 1")


@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_secret_may_lie_in_a_file_of_its_own(
    home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    secret = home / "key.txt"
    secret.write_text("SG.a-key\n")
    if place == "file":
        (home / ".env").write_text(f"SENDGRID_API_KEY_FILE={secret}\n")
    else:
        monkeypatch.setenv("SENDGRID_API_KEY_FILE", str(secret))
    settings = Settings.load()
    assert settings.sendgrid_api_key is not None
    assert settings.sendgrid_api_key.get_secret_value() == "SG.a-key"
    assert "SG.a-key" not in repr(settings)


def test_all_faults_are_told_at_once(home: Path) -> None:
    (home / ".env").write_text(
        "SEND_LIMIT=5/x\nPUBLIC_URL=abc\nDATABASE_URL=mysql://x\nMAIL_FROM_FILE=/nope\n"
        "LEASE_SECONDS=soon\n"
    )
    with pytest.raises(SettingsError) as error:
        Settings.load()
    told = str(error.value)
    for part in (
        "5 settings need attention",
        "SEND_LIMIT: '5/x' is not like 100/day",
        "PUBLIC_URL: 'abc' is not a URL",
        "DATABASE_URL: 'mysql' is not sqlite",
        "MAIL_FROM_FILE: cannot read /nope",
        "LEASE_SECONDS",
    ):
        assert part in told


def test_what_is_no_number_and_no_choice_is_named_with_what_is(home: Path) -> None:
    (home / ".env").write_text(
        "UNKNOWN_POLICY=foo\nTICK_SECONDS=-1\nLEASE_SECONDS=soon\nCALLS_IN_FLIGHT=0\n"
        "LOG_LEVEL=loud\nDATABASE_URL=postgresql+psycopg://u:secret@h:xx/d\n"
    )
    with pytest.raises(SettingsError) as error:
        Settings.load()
    for part in (
        "UNKNOWN_POLICY: 'foo' is none of hold, auto",
        "TICK_SECONDS: '-1' is no number above 0",
        "LEASE_SECONDS: 'soon' is no number above 0",
        "CALLS_IN_FLIGHT: '0' is no whole number from 1 to 32",
        "LOG_LEVEL: 'loud' is none of debug, info, warning, error",
        "DATABASE_URL: its port is no number; write it like postgresql+psycopg://",
    ):
        assert part in str(error.value)
    assert "secret" not in str(error.value)


def test_a_name_that_is_nearly_a_settings_is_found_in_the_environment() -> None:
    found = Settings.misspelt_names(["SENDGRID_APIKEY", "HOME", "MAIL_FROM", "MINICOURSE_HOME"])
    assert found == {"SENDGRID_APIKEY": "SENDGRID_API_KEY"}


def test_what_of_the_file_sets_nothing_is_told(home: Path) -> None:
    assert Settings.passed_over(home) == []
    (home / ".env").write_text("PUBLIC_URL=https://a.example\nMAIL_FROM\nALERT_EMAIL=\n")
    (said,) = Settings.passed_over(home)
    assert said == f"{home / '.env'}:2: MAIL_FROM has no =, and sets nothing"
    (home / ".env").unlink()
    (home / ".env").mkdir()
    (said,) = Settings.passed_over(home)
    assert "is a folder" in said


def test_what_the_operator_is_told_by_must_be_an_address_and_a_url(home: Path) -> None:
    (home / ".env").write_text(
        "ALERT_EMAIL=me at example\nHEARTBEAT_URL=hc-ping.com/secret-part\nDIGEST=monthly\n"
        "MAIL_FROM=robin\nMAIL_REPLY_TO=x@\nSEND_LIMIT=5/x\n"
    )
    with pytest.raises(SettingsError) as error:
        Settings.load()
    told = str(error.value)
    for part in (
        "6 settings need attention",
        "ALERT_EMAIL: 'me at example' is not an e-mail address; write it like robin@example.com",
        "HEARTBEAT_URL: 'hc-ping.com/…' is not a URL; write it like https://hc-ping.com/…",
        "DIGEST: 'monthly' is none of off, daily and weekly",
        "MAIL_FROM: 'robin' is not an e-mail address",
        "MAIL_REPLY_TO: 'x@' is not an e-mail address",
        "SEND_LIMIT: '5/x'",
    ):
        assert part in told
    assert "secret-part" not in told


def test_what_guards_the_form_is_read_and_what_is_none_is_named(home: Path) -> None:
    settings = Settings.load()
    assert [str(each) for each in settings.trusted_proxies] == ["127.0.0.0/8", "::1/128"]
    assert (settings.signup_origins, settings.check_mx) == ((), False)
    assert str(settings.signup_limit) == "1,200 an hour"
    (home / ".env").write_text(
        "TRUSTED_PROXIES=10.1.2.3, 2001:db8::/32\nSIGNUP_LIMIT=5000/day\nCHECK_MX=on\n"
        "SIGNUP_ORIGINS=https://WWW.Example.com/, https://example.com:443,http://127.0.0.1:80\n"
    )
    settings = Settings.load()
    assert [str(each) for each in settings.trusted_proxies] == ["10.1.2.3/32", "2001:db8::/32"]
    assert settings.signup_origins == (
        "https://www.example.com",
        "https://example.com",
        "http://127.0.0.1",
    )
    assert (settings.signup_limit.count, settings.check_mx) == (5000, True)
    (home / ".env").write_text(
        "TRUSTED_PROXIES=proxy\nSIGNUP_LIMIT=5/second\nCHECK_MX=perhaps\n"
        "SIGNUP_ORIGINS=https://example.com/path\n"
    )
    with pytest.raises(SettingsError) as error:
        Settings.load()
    for part in (
        "TRUSTED_PROXIES: 'proxy' is no network; write it like 10.0.0.0/8",
        "SIGNUP_LIMIT: '5/second' is not like 1200/hour (units: hour, day)",
        "CHECK_MX: 'perhaps' is neither on nor off",
        "SIGNUP_ORIGINS: 'https://example.com/path' is not an origin; write it like https://www.",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize("given", ["0", "0/hour", "5/minute", "1/hour,2/day", "many"])
def test_what_is_no_limit_of_sign_ups_is_told_with_one_that_is(home: Path, given: str) -> None:
    (home / ".env").write_text(f"SIGNUP_LIMIT={given}\n")
    told = f"SIGNUP_LIMIT: '{given}' is not like 1200/hour \\(units: hour, day\\)"
    with pytest.raises(SettingsError, match=told):
        Settings.load()


@pytest.mark.parametrize(
    "origin",
    ["http://example.com", "*", "null", "https://a@example.com", "https://x:y", "https://"],
)
def test_what_is_no_origin_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    monkeypatch.setenv("SIGNUP_ORIGINS", origin)
    with pytest.raises(SettingsError, match="SIGNUP_ORIGINS"):
        Settings.load()


def test_addresses_urls_and_periods_that_are_some_are_taken(home: Path) -> None:
    (home / ".env").write_text(
        "ALERT_EMAIL=me@sandbox.test\nHEARTBEAT_URL=https://hc-ping.com/x/y\nDIGEST=off\n"
        "PUBLIC_URL=https://course.example.com/\n"
    )
    settings = Settings.load()
    assert (settings.alert_email, settings.digest) == ("me@sandbox.test", "off")
    assert settings.heartbeat_url == "https://hc-ping.com/x/y"
    assert settings.public_url == "https://course.example.com"


@pytest.mark.parametrize("more", ["/kurs", "/kurs/", "?a=1", "#top"])
def test_the_pages_lie_at_the_root_of_a_name(
    home: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    """Below a path, links in mails and the header to leave with one click would lead nowhere."""
    monkeypatch.setenv("PUBLIC_URL", f"https://example.com{more}")
    with pytest.raises(SettingsError, match=r"PUBLIC_URL: .*; write https://example\.com, or give"):
        Settings.load()


def test_a_file_that_is_not_text_is_named(home: Path) -> None:
    (home / ".env").write_bytes(b"MAIL_FROM=j\xf6rg@example.org\n")
    with pytest.raises(SettingsError, match=r"\.env is not UTF-8 text"):
        Settings.load()


def test_a_line_that_is_none_is_named(home: Path) -> None:
    (home / ".env").write_text("MAIL_FROM=a@example.org\nthis is no line\n")
    with pytest.raises(SettingsError, match=r"\.env:2: 'this is no line' is not like NAME=value"):
        Settings.load()


def test_misspelt_names_are_found(home: Path) -> None:
    (home / ".env").write_text("SENDGRID_API_KY=x\nMAIL_FROM=a@example.org\nTICK_SECONDS_FILE=\n")
    assert Settings.unknown_names(home) == ["SENDGRID_API_KY"]


def test_the_password_of_a_database_is_not_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://me:hidden@db/course")
    monkeypatch.setenv("SECRET_KEY", "first-secret,second-secret")
    monkeypatch.setenv("HASH_KEY", "third-secret")
    settings = Settings.load()
    assert len(settings.secret_key) == 2
    for secret in ("hidden", "first", "third-secret"):
        assert secret not in repr(settings)


def test_a_server_needs_its_keys_set(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://me@db/course")
    with pytest.raises(SettingsError, match="SECRET_KEY is not set(.|\n)*HASH_KEY is not set"):
        Settings.load()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8025", True),
        ("http://localhost", True),
        ("http://[::1]:1", True),
        ("http://127.0.0.1.evil.com", False),
        ("https://api.sendgrid.com", False),
        ("http://10.0.0.1", False),
    ],
)
def test_what_counts_as_this_machine(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
