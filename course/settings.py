"""Settings: from the environment, else from `.env` in the home; read once, typed, all problems
reported together, secrets absent from `repr`."""

import difflib
import os
import secrets
from collections.abc import Iterable, Mapping
from datetime import timedelta
from io import StringIO
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from course.errors import SettingsError
from course.urls import is_loopback, is_url, network, origin, without_path

SOURCE_ROOT = Path(__file__).resolve().parent.parent
SENDGRID = "https://api.sendgrid.com"
SANDBOX_HOST = "http://127.0.0.1:8025"


def _split(value: object) -> object:
    return _parts(value) if isinstance(value, str) else value


def _parts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


class SendLimit(BaseModel):
    """At most `count` mails in any window of that length, over all processes."""

    model_config = ConfigDict(frozen=True)
    count: int
    window: timedelta

    def __str__(self) -> str:
        unit = next(name for name, window in _WINDOWS.items() if window == self.window)
        return f"{self.count:,} {'an' if unit == 'hour' else 'a'} {unit}"


_WINDOWS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}


def parse_send_limits(text: str) -> tuple[SendLimit, ...]:
    """`100/day,2000/hour` as limits; raises ValueError naming the part that is not one."""
    limits = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        count, _, unit = part.partition("/")
        if not count.isdigit() or int(count) < 1 or unit not in _WINDOWS:
            raise ValueError(f"{part!r} is not like 100/day (units: {', '.join(_WINDOWS)})")
        limits.append(SendLimit(count=int(count), window=_WINDOWS[unit]))
    return tuple(limits)


def checked_database_url(value: str) -> str:
    """ValueError, which names no password, for what is no URL of a database of ours."""
    try:
        if make_url(value).get_backend_name() in ("sqlite", "postgresql"):
            return value
    except ArgumentError:
        pass
    except ValueError:
        raise ValueError(
            "its port is no number; write it like postgresql+psycopg://NAME@HOST:5432/DATABASE"
        ) from None
    scheme = value.partition(":")[0]
    raise ValueError(f"{scheme!r} is not sqlite:///FILE or postgresql+psycopg://…")


HOURLY_SIGN_UPS = SendLimit(count=1200, window=timedelta(hours=1))
_THIS_MACHINE = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class Settings(BaseSettings):
    """Everything that can be set; field names are the variables' names in lower case."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        env_ignore_empty=True,
        populate_by_name=True,
    )

    home: Path
    database_url: str = Field("sqlite:///minicourse.db", repr=False)  # may hold a password
    sendgrid_api_key: SecretStr | None = None
    sendgrid_host: str = SENDGRID
    sendgrid_webhook_public_key: Annotated[tuple[str, ...], NoDecode] = ()
    public_url: str = "http://127.0.0.1:8000"
    mail_from: str = "course@example.com"
    mail_reply_to: str | None = None
    postal_address: str = "(sandbox: no postal address set)"
    secret_key: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    hash_key: SecretStr | None = None
    send_limit: Annotated[tuple[SendLimit, ...], NoDecode] = ()
    broker_url: str | None = Field(None, repr=False)
    alert_email: str | None = None
    digest: Literal["off", "daily", "weekly"] = "weekly"
    heartbeat_url: str | None = Field(None, repr=False)  # who has it may say that all is well
    metrics_token: SecretStr | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = _THIS_MACHINE
    signup_origins: Annotated[tuple[str, ...], NoDecode] = ()
    signup_limit: Annotated[SendLimit, NoDecode] = HOURLY_SIGN_UPS
    check_mx: bool = False
    clock_file: Path | None = Field(None, validation_alias="MINICOURSE_CLOCK_FILE")

    unknown_policy: Literal["hold", "auto"] = "hold"
    lease_seconds: float = Field(60, gt=0)
    call_deadline_seconds: float = Field(25, gt=0)
    calls_in_flight: int = Field(4, ge=1, le=32)
    backoff_min_seconds: float = Field(2, gt=0)
    backoff_max_seconds: float = Field(60, gt=0)
    breaker_min_seconds: float = Field(30, gt=0)
    breaker_max_seconds: float = Field(900, gt=0)
    auto_wait_hours: float = Field(6, ge=0)
    tick_seconds: float = Field(2, gt=0)

    @field_validator("sendgrid_webhook_public_key", mode="before")
    @classmethod
    def _keys(cls, value: object) -> object:
        return _split(value)

    @field_validator("secret_key", mode="before")
    @classmethod
    def _secrets(cls, value: object) -> object:
        return _split(value)

    @field_validator("send_limit", mode="before")
    @classmethod
    def _limits(cls, value: object) -> object:
        return parse_send_limits(value) if isinstance(value, str) else value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return tuple(map(network, _parts(value))) if isinstance(value, str) else value

    @field_validator("signup_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        return tuple(map(origin, _parts(value))) if isinstance(value, str) else value

    @field_validator("signup_limit", mode="before")
    @classmethod
    def _sign_ups(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            (limit,) = parse_send_limits(value)
        except ValueError:
            limit = None
        if limit is None or limit.window < timedelta(hours=1):
            raise ValueError(f"{value!r} is not like 1200/hour (units: hour, day)")
        return limit

    @field_validator("check_mx", mode="before")
    @classmethod
    def _switch(cls, value: object) -> object:
        if isinstance(value, str) and value.lower() not in ("on", "off"):
            raise ValueError(f"{value!r} is neither on nor off")
        return value

    @field_validator("digest", mode="before")
    @classmethod
    def _period(cls, value: object) -> object:
        if value not in ("off", "daily", "weekly"):
            raise ValueError(f"{value!r} is none of off, daily and weekly")
        return value

    @field_validator("alert_email", "mail_from", "mail_reply_to")
    @classmethod
    def _email(cls, value: str | None) -> str | None:
        from email_validator import EmailNotValidError, validate_email  # mostly nothing is set

        if value is None:
            return None
        try:
            validate_email(
                value, check_deliverability=False, test_environment=True, allow_smtputf8=False
            )
        except EmailNotValidError:
            raise ValueError(
                f"{value!r} is not an e-mail address; write it like robin@example.com"
            ) from None
        return value

    @field_validator("public_url", "sendgrid_host")
    @classmethod
    def _url(cls, value: str) -> str:
        if not is_url(value):
            raise ValueError(f"{value!r} is not a URL; write it like https://course.example.com")
        return value.rstrip("/")

    @field_validator("public_url")
    @classmethod
    def _root(cls, value: str) -> str:
        """The pages lie at the root of a name: below a path every link would lead elsewhere."""
        parts = urlsplit(value)
        if parts.path or parts.query or parts.fragment:
            root = f"{parts.scheme}://{parts.netloc}"
            raise ValueError(
                f"{value!r} has more than a name, but the pages lie at its root; write {root}, or "
                "give them a name of their own"
            )
        return value

    @field_validator("heartbeat_url")
    @classmethod
    def _beaten(cls, value: str | None) -> str | None:
        if value is not None and not is_url(value):
            raise ValueError(
                f"{without_path(value)!r} is not a URL; write it like https://hc-ping.com/…"
            )
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        return checked_database_url(value)

    @property
    def sandboxed(self) -> bool:
        """Whether mail goes to a stand-in on this machine: no key, or a loopback host."""
        return self.sendgrid_api_key is None or is_loopback(self.sendgrid_host)

    @property
    def mail_host(self) -> str:
        """Where mail is sent: without a key only ever to this machine."""
        if self.sendgrid_api_key is None and not is_loopback(self.sendgrid_host):
            return SANDBOX_HOST
        return self.sendgrid_host

    @property
    def mail_key(self) -> str:
        """What opens the mail host; the stand-in takes any."""
        return self.sendgrid_api_key.get_secret_value() if self.sendgrid_api_key else "sandbox"

    @property
    def database(self) -> str:
        """DATABASE_URL with a relative SQLite path taken from the home, not the working folder."""
        url = make_url(self.database_url)
        if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
            url = url.set(database=str(self.home / url.database))
        return url.render_as_string(hide_password=False)

    @property
    def database_path(self) -> Path | None:
        """The file of an embedded database; None for a server."""
        url = make_url(self.database)
        return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None

    @property
    def key_path(self) -> Path | None:
        """Where an embedded installation keeps its own SECRET_KEY and HASH_KEY."""
        return self.database_path.with_suffix(".keys") if self.database_path else None

    @property
    def has_sender(self) -> bool:
        """Whether MAIL_FROM is an address of somebody's own."""
        return self.mail_from != str(Settings.model_fields["mail_from"].default)

    @property
    def live_mail_problems(self) -> list[str]:
        """All that is missing for mail to real people."""
        problems = []
        if not self.has_sender:
            problems.append("MAIL_FROM is not set: the address that lessons come from")
        if self.postal_address == Settings.model_fields["postal_address"].default:
            problems.append("POSTAL_ADDRESS is not set: the law asks for it in each mail")
        if not self.public_url.startswith("https://") or is_loopback(self.public_url):
            problems.append(
                f"PUBLIC_URL is {self.public_url}: links in mails need https and a public name"
            )
        return problems

    def require_live_mail(self) -> None:
        """Raise SettingsError listing them."""
        if problems := self.live_mail_problems:
            raise SettingsError(_report(problems, self.home))

    @classmethod
    def load(cls) -> Self:
        """Read the environment, then `.env` in the home; raise one SettingsError for all faults."""
        home = os.environ.get("MINICOURSE_HOME") or SOURCE_ROOT
        return cls.load_from(Path(home).expanduser().resolve())

    @classmethod
    def load_from(cls, home: Path) -> Self:
        """The same for that home."""
        dotenv, problems = _read_dotenv(home / ".env")
        values: dict[str, Any] = {"home": home, "_env_file": None if problems else home / ".env"}
        files = _read_files(cls.model_fields, dotenv, problems)
        try:
            settings = cls(**values, **files)  # type: ignore[arg-type]
        except ValidationError as error:
            problems += [_problem(item) for item in error.errors()]
        else:
            problems += settings._faults()
        if problems:
            raise SettingsError(_report(problems, home))
        return settings.model_copy(update=settings._own_keys())

    @classmethod
    def unknown_names(cls, home: Path) -> list[str]:
        """Names in `.env` that are no setting's: perhaps misspelt, and without any effect."""
        known = {_variable(field) for field in cls.model_fields if field != "home"}
        known |= {f"{name}_FILE" for name in known}
        return sorted(set(_read_dotenv(home / ".env")[0]) - known)

    @classmethod
    def misspelt_names(cls, environment: Iterable[str]) -> dict[str, str]:
        """Names in the environment that are nearly a setting's, each with the one that is meant."""
        known = {_variable(field) for field in cls.model_fields if field != "home"}
        known |= {f"{name}_FILE" for name in known} | {"MINICOURSE_HOME"}
        near = {
            name: difflib.get_close_matches(name, known, 1, cutoff=0.9)
            for name in sorted(set(environment) - known)
        }
        return {name: found[0] for name, found in near.items() if found}

    @classmethod
    def passed_over(cls, home: Path) -> list[str]:
        """What of `.env` sets nothing, though it is no fault: a folder, a name without `=`."""
        path = home / ".env"
        if path.is_dir():
            return [f"{path} is a folder, and nothing is read from it"]
        if not path.is_file():
            return []
        return [
            f"{path}:{line.original.line}: {line.key} has no =, and sets nothing"
            for line in parse_stream(StringIO(path.read_text(encoding="utf-8")))
            if line.key and line.value is None
        ]

    def _faults(self) -> list[str]:
        problems = []
        embedded = self.database_path is not None
        if not embedded and not self.secret_key:
            problems.append("SECRET_KEY is not set: needed with a database server")
        if not embedded and not self.hash_key:
            problems.append("HASH_KEY is not set: needed with a database server")
        if self.broker_url is not None and embedded:
            problems.append(
                "BROKER_URL is set, and DATABASE_URL is an embedded database: a fleet of workers "
                "needs postgresql+psycopg://…; move there with: minicourse db copy"
            )
        if self.lease_seconds <= self.call_deadline_seconds:
            problems.append("LEASE_SECONDS must be longer than CALL_DEADLINE_SECONDS")
        # Silence says nothing where nobody could be heard. (A sandbox's key is in the database.)
        heard = self.sandboxed or self.sendgrid_webhook_public_key
        if self.unknown_policy == "auto" and not heard:
            problems.append("UNKNOWN_POLICY=auto needs SENDGRID_WEBHOOK_PUBLIC_KEY")
        return problems

    def _own_keys(self) -> dict[str, Any]:
        """The keys kept beside an embedded database, where the settings do not name any."""
        if not self.key_path or not self.key_path.exists():
            return {}
        stored, _ = _read_dotenv(self.key_path)
        found: dict[str, Any] = {}
        if not self.secret_key and stored.get("SECRET_KEY"):
            found["secret_key"] = tuple(SecretStr(key) for key in stored["SECRET_KEY"].split(","))
        if not self.hash_key and stored.get("HASH_KEY"):
            found["hash_key"] = SecretStr(stored["HASH_KEY"])
        return found

    def of_database(self, url: str) -> Self:
        """The same for another database, with the keys beside that one where there are any."""
        other = self.model_copy(update={"database_url": url})
        bare = other.model_copy(update={"secret_key": (), "hash_key": None})
        return other.model_copy(update=bare._own_keys())

    def with_made_keys(self) -> Self:
        """Make SECRET_KEY and HASH_KEY once for an embedded database, beside it, mode 0600."""
        if self.secret_key and self.hash_key:
            return self
        path = self.key_path
        if path is None:
            raise SettingsError("SECRET_KEY and HASH_KEY are needed with a database server")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"{name}={secrets.token_urlsafe(32)}\n" for name in ("SECRET_KEY", "HASH_KEY")]
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.writelines(lines)
        return self.model_copy(update=self._own_keys())


def changed_at(home: Path) -> float:
    """When `.env` was last written (unix seconds); 0 where there is none."""
    try:
        return (home / ".env").stat().st_mtime
    except OSError:
        return 0


def _read_dotenv(path: Path) -> tuple[dict[str, str], list[str]]:
    """The names and values of such a file, and what is wrong with it."""
    if not path.is_file():
        return {}, []
    try:
        lines = list(parse_stream(StringIO(path.read_text(encoding="utf-8"))))
    except UnicodeDecodeError:
        return {}, [f"{path} is not UTF-8 text"]
    except OSError as error:
        return {}, [f"cannot read {path}: {error.strerror}"]
    broken = [line.original for line in lines if line.error]
    problems = [
        f"{path}:{original.line}: {original.string.strip()!r} is not like NAME=value"
        for original in broken
    ]
    return {line.key: line.value or "" for line in lines if line.key}, problems


def _variable(field: str) -> str:
    return "MINICOURSE_CLOCK_FILE" if field == "clock_file" else field.upper()


def _read_files(
    fields: Iterable[str], dotenv: Mapping[str, str], problems: list[str]
) -> dict[str, str]:
    """`X_FILE=/run/secrets/x` gives X the content of that file, unless the environment has X."""
    found: dict[str, str] = {}
    for field in fields:
        name = f"{_variable(field)}_FILE"
        path = os.environ.get(name) or dotenv.get(name)
        if not path or os.environ.get(_variable(field)):
            continue
        try:
            found[field] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{name}: cannot read {path}: {error}")
    return found


def _problem(item: Any) -> str:
    field = str(item["loc"][0])
    return f"{field.upper()}: {_said(item, Settings.model_fields.get(field))}"


def _said(item: Any, field: FieldInfo | None) -> str:
    """What was written, and what may be; a fault of a rule of ours says that itself."""
    if field is not None and item["type"] == "literal_error":
        return f"{item['input']!r} is none of {', '.join(get_args(field.annotation))}"
    if field is not None and field.annotation in (int, float) and item["type"] != "value_error":
        return f"{item['input']!r} is no {_number(field)}"
    said: str = item["msg"].removeprefix("Value error, ")
    return said


def _number(field: FieldInfo) -> str:
    words = {"Gt": "above", "Ge": "from", "Le": "to"}
    bounds = [
        f" {words[name]} {getattr(one, name.lower())}"
        for one in field.metadata
        if (name := type(one).__name__) in words
    ]
    return f"{'whole ' if field.annotation is int else ''}number{''.join(bounds)}"


def _report(problems: list[str], home: Path) -> str:
    where = f"the environment or {home / '.env'}"
    if len(problems) == 1:
        return f"{problems[0]}. Set it in {where}."
    listed = "".join(f"\n  - {problem}" for problem in problems)
    return f"{len(problems)} settings need attention (set them in {where}):{listed}"
