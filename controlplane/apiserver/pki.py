"""The control plane's own certificate authority, its server certificate and the kubeconfig that trusts them."""

from __future__ import annotations

import base64
import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.state import State

_CA_DAYS = 3650
_SERVER_DAYS = 365
_RENEW_DAYS = 30
_CLOCK_SKEW = timedelta(minutes=5)
_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
_ADDRESSES = ("127.0.0.1", "::1")


@dataclass(frozen=True)
class Pki:
    """Where the certificates lie."""

    ca_cert_path: Path
    server_cert_path: Path
    server_key_path: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.server_cert_path, self.server_key_path)
        return context


def ensure_pki(state: State) -> Pki:
    """The certificates of this state folder: made when missing, the server's renewed in time."""
    state.prepare()
    folder = state.pki
    pki = Pki(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    ca_key_path = folder / "ca.key"
    if not (pki.ca_cert_path.exists() and ca_key_path.exists()):
        ca_key, ca_cert = _authority()
        write_private(ca_key_path, _pem(ca_key))
        write_private(pki.ca_cert_path, ca_cert.public_bytes(serialization.Encoding.PEM))
        pki.server_cert_path.unlink(missing_ok=True)
    if not _usable(pki):
        key, certificate = issue(state)
        write_private(pki.server_key_path, key)
        write_private(pki.server_cert_path, certificate)
    return pki


def issue(state: State) -> tuple[bytes, bytes]:
    """(key, certificate) in PEM, for another server on this machine, by the authority of a state folder that has one."""
    authority = serialization.load_pem_private_key((state.pki / "ca.key").read_bytes(), None)
    key, certificate = _server(authority, x509.load_pem_x509_certificate((state.pki / "ca.crt").read_bytes()))  # type: ignore[arg-type]
    return _pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def write_kubeconfig(state: State, url: str, token: str) -> None:
    """Write state.kubeconfig: one cluster, one user, one context, nothing outside of the file needed."""
    ca = base64.b64encode((state.pki / "ca.crt").read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "vmshift", "cluster": {"server": url, "certificate-authority-data": ca}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "vmshift", "context": {"cluster": "vmshift", "user": "admin", "namespace": "default"}}],
        "current-context": "vmshift",
    }
    write_private(state.kubeconfig, yaml.safe_dump(config, sort_keys=False).encode())


def write_private(path: Path, content: bytes) -> None:
    """Put a file readable by its owner only into place, whole or not at all, also across a power loss."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def _usable(pki: Pki) -> bool:
    if not (pki.server_cert_path.exists() and pki.server_key_path.exists()):
        return False
    cert = x509.load_pem_x509_certificate(pki.server_cert_path.read_bytes())
    key = serialization.load_pem_private_key(pki.server_key_path.read_bytes(), None)
    left = cert.not_valid_after_utc - datetime.now(timezone.utc)
    return left > timedelta(days=_RENEW_DAYS) and cert.public_key() == key.public_key()


def _authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vmshift control plane CA")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    cert = (
        _builder(name, name, key, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, cert


def _server(ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vmshift control plane")])
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in dict.fromkeys((*_NAMES, socket.gethostname())) if host.isascii()]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in _ADDRESSES]
    cert = (
        _builder(name, ca.subject, key, _SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return key, cert


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
