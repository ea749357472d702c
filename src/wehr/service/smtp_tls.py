"""The files by which the SMTP proxy encrypts: one that cannot be used is named, with its setting and why."""

import ssl
from pathlib import Path
from typing import Final

from wehr.doors.smtp import Certificate
from wehr.service.door_settings import Smtp
from wehr.service.state_folder import StartError

_ANOTHER: Final = frozenset({"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
"""What OpenSSL calls a key of another certificate; the second, where it is of another kind."""
_LOCKED: Final = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
"""PKCS #8 (RFC 7468) and what was before it (RFC 1421)."""


def own_certificate(table: Smtp) -> Certificate | None:
    """What clients are shown; None if STARTTLS is not offered.

    Raises:
        StartError: it cannot be used.
    """
    if not table.certificate:
        return None
    certificate = _certificates("smtp.certificate", table.certificate)
    setting = "smtp.key" if table.key else "smtp.certificate"
    key = Path(table.key or table.certificate)
    _see_key(setting, key)
    ca = _certificates("smtp.client_ca", table.client_ca) if table.client_ca else None
    try:
        return Certificate(certificate, key, ca)
    except ssl.SSLError as error:
        if error.reason in _ANOTHER:
            why = f"its private key is not that of the first certificate in {certificate}"
            raise _unusable(setting, key, why) from None
        if error.reason is None:  # OpenSSL's PEM reader says no more, and the certificates were read before
            raise _unusable(setting, key, "its private key is damaged") from None
        why = error.reason.lower().replace("_", " ")
        raise _unusable("smtp.certificate", certificate, why) from None


def next_context(table: Smtp) -> ssl.SSLContext | None:
    """What the next hop's certificate is verified by; None if it is not.

    Raises:
        StartError: the authorities cannot be used.
    """
    if table.next_hop_tls != "verified":
        return None
    ca = _certificates("smtp.next_hop_ca", table.next_hop_ca) if table.next_hop_ca else None
    return ssl.create_default_context(cafile=ca)


def _certificates(setting: str, name: str) -> Path:
    """A file that was seen to hold certificates."""
    file = Path(name)
    _read(setting, file)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError as error:
        none = error.reason == "NO_CERTIFICATE_OR_CRL_FOUND"
        raise _unusable(
            setting, file, f"it holds {'no certificate in PEM' if none else 'a damaged certificate'}"
        ) from None
    return file


def _see_key(setting: str, file: Path) -> None:
    """See that a file holds a private key for which nobody is asked: OpenSSL would, on the terminal."""
    text = _read(setting, file)
    if b"PRIVATE KEY-----" not in text:
        elsewhere = "" if setting == "smtp.key" else "; name the file that holds it with smtp.key"
        raise _unusable(setting, file, f"it holds no private key in PEM{elsewhere}")
    if any(mark in text for mark in _LOCKED):
        raise _unusable(
            setting, file, "its private key has a passphrase; take it off, with 'openssl pkey', say"
        )


def _read(setting: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        remedy = "; let the user that Wehr runs as read it" if isinstance(error, PermissionError) else ""
        raise _unusable(setting, file, f"{error.strerror}{remedy}") from None


def _unusable(setting: str, file: Path, why: str) -> StartError:
    return StartError(f"{setting} {file} cannot be used: {why}")
