"""A certificate authority of this machine and the server certificate it signs.

Clients trust the authority: ``requests`` through ``REQUESTS_CA_BUNDLE``, aiohttp through
``SSL_CERT_FILE``, both set to ``ca-bundle.pem``, which also contains the roots that were trusted
before. Private keys are readable only by their owner.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .connections import DOCKER_NAME, TRUSTED
from .data_folder import writing

NAMES = ("localhost", "127.0.0.1", "::1", DOCKER_NAME)
CA_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=397)
RENEW_BEFORE = timedelta(days=30)
VALID_BEFORE = timedelta(hours=1)  # a client's clock may be a little behind


@dataclass(frozen=True)
class Certificates:
    """Files in the data folder; ``bundle`` is what clients trust."""

    ca: Path
    bundle: Path
    server: Path
    server_key: Path


def ensure_certificates(data: Path, names: Iterable[str] = ()) -> Certificates:
    """Create or renew certificates that are missing, about to expire or lack a name.

    Safe to call at any time. Raises DataFolderError if ``data`` cannot be written.
    """
    files = Certificates(
        ca=data / "ca.pem",
        bundle=data / "ca-bundle.pem",
        server=data / "server.pem",
        server_key=data / "server-key.pem",
    )
    all_names = list(dict.fromkeys([*NAMES, *names]))
    with writing(data), (data / "certificates.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two programs may start at the same time
        ca_key = _ensure_ca(files.ca, data / "ca-key.pem")
        _ensure_server(files, ca_key, all_names)
        _write(files.bundle, _bundle(files, os.environ), mode=0o644)
    return files


def _ensure_ca(path: Path, key_path: Path) -> ec.EllipticCurvePrivateKey:
    if _is_current(path) and key_path.exists():
        return _read_key(key_path)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Local dbt Cloud certificate authority")
    certificate = (
        _builder(name, name, key, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _key_bytes(key), mode=0o600)
    _write(path, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return key


def _ensure_server(
    files: Certificates, ca_key: ec.EllipticCurvePrivateKey, names: list[str]
) -> None:
    ca = _read(files.ca)
    if _is_current(files.server) and files.server_key.exists():
        current = _read(files.server)
        if _names_of(current) >= set(names) and _is_signed_by(current, ca):
            return
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = (
        _builder(_name("Local dbt Cloud"), ca.subject, key, SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(issuer, critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    _write(files.server_key, _key_bytes(key), mode=0o600)
    _write(files.server, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: timedelta
) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - VALID_BEFORE
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _bundle(files: Certificates, environment: Mapping[str, str]) -> bytes:
    """Return our authority and the roots that this process already trusts, else certifi's."""
    named = (environment.get(name) for name in TRUSTED)
    roots = {Path(path).resolve() for path in named if path and Path(path).is_file()}
    roots -= {files.bundle.resolve(), files.ca.resolve()}
    parts = [files.ca, *sorted(roots or {Path(certifi.where())})]
    return b"\n".join(path.read_bytes() for path in parts)


def _is_current(path: Path) -> bool:
    """Return whether the certificate is valid now and for some time."""
    try:
        current, now = _read(path), datetime.now(UTC)
    except (OSError, ValueError):
        return False
    return current.not_valid_before_utc <= now < current.not_valid_after_utc - RENEW_BEFORE


def _is_signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except Exception:  # cryptography raises three types; each means no
        return False
    return True


def _names_of(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace the file in one step, so that no reader sees half of it."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    new.replace(path)
