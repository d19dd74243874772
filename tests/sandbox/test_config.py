from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)

from course.errors import SettingsError
from course.sandbox.config import SandboxConfig, config_from
from course.sandbox.keys import load_private_key, make_key_pair

HOOK = "http://127.0.0.1:8000/webhooks/sendgrid"


def pem_of_another_curve() -> str:
    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_both_halves_of_a_pair_belong_together() -> None:
    pair = make_key_pair()
    public = load_der_public_key(b64decode(pair.public_base64))
    assert public == load_private_key(pair.private_pem).public_key()


@pytest.mark.parametrize("pem", ["", "nonsense", pem_of_another_curve()])
def test_what_is_no_p256_key_is_refused(pem: str) -> None:
    with pytest.raises(SettingsError, match="P-256"):
        load_private_key(pem)


@pytest.mark.parametrize(
    "url",
    ["https://course.example.com/hook", "http://127.0.0.1.example.com/", "ftp://localhost/", "x"],
)
def test_events_go_to_this_machine_only(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=f"not to {url}"):
        SandboxConfig(tmp_path / "s.db", webhook_url=url, private_key_pem=None)


def test_a_webhook_needs_a_key_to_sign_with(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="private key"):
        SandboxConfig(tmp_path / "s.db", webhook_url=HOOK)


def test_a_store_needs_its_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none/s\.db"):
        SandboxConfig(tmp_path / "none" / "s.db")


def test_secrets_are_not_in_its_repr(tmp_path: Path) -> None:
    pem = make_key_pair().private_pem
    config = SandboxConfig(tmp_path / "s.db", HOOK, pem, frozenset({"SG.secret"}))
    assert "PRIVATE" not in repr(config)
    assert "SG.secret" not in repr(config)


def test_the_environment_names_everything(tmp_path: Path) -> None:
    pem = make_key_pair().private_pem
    clock_file = tmp_path / "clock"
    clock_file.write_text("2026-03-02T09:00:00+01:00\n")
    config = config_from(
        {
            "MINICOURSE_SANDBOX_STORE": str(tmp_path / "s.db"),
            "MINICOURSE_SANDBOX_WEBHOOK_URL": HOOK,
            "MINICOURSE_SANDBOX_PRIVATE_KEY": pem,
            "MINICOURSE_SANDBOX_API_KEYS": "SG.a, SG.b",
            "MINICOURSE_CLOCK_FILE": str(clock_file),
        }
    )
    assert config.store_path == tmp_path / "s.db"
    assert (config.webhook_url, config.private_key_pem) == (HOOK, pem)
    assert config.api_keys == frozenset({"SG.a", "SG.b"})
    assert config.clock() == datetime(2026, 3, 2, 8, tzinfo=UTC)


def test_only_the_store_is_required(tmp_path: Path) -> None:
    config = config_from({"MINICOURSE_SANDBOX_STORE": str(tmp_path / "s.db")})
    assert (config.webhook_url, config.private_key_pem, config.api_keys) == (None, None, None)
    assert config.clock().tzinfo is UTC
    with pytest.raises(SettingsError, match="MINICOURSE_SANDBOX_STORE"):
        config_from({})
