"""The key pair that stands for SendGrid's: made here, signs events as SendGrid does."""

from base64 import b64encode
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from course.errors import SettingsError


class KeyPair(NamedTuple):
    private_pem: str  # PKCS 8, not encrypted
    public_base64: str  # DER SubjectPublicKeyInfo, the form in which SendGrid shows its key


def make_key_pair() -> KeyPair:
    """A fresh P-256 pair."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(pem.decode(), b64encode(der).decode())


def public_base64(pem: str) -> str:
    """The public part of a private key, in SendGrid's form."""
    public = load_private_key(pem).public_key()
    return b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def load_private_key(pem: str) -> ec.EllipticCurvePrivateKey:
    """Raises SettingsError where the text is not a P-256 private key."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SettingsError("The sandbox's private key is not the PEM text of a P-256 key.")
    return key


def sign(key: ec.EllipticCurvePrivateKey, timestamp: str, body: bytes) -> str:
    """Base64 of the DER signature over the timestamp's bytes followed by the raw body."""
    return b64encode(key.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))).decode()
