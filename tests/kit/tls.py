"""A certificate authority of the tests' own, and servers' certificates from it, good and bad."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

DAY = timedelta(days=1)


@dataclass
class Authority:
    """Signs certificates, and trusts itself."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @cached_property
    def certificate(self) -> x509.Certificate:
        return self._sign(_builder("tests", self.key, DAY).add_extension(x509.BasicConstraints(True, 0), True))

    @property
    def file(self) -> Path:
        """What SSL_CERT_FILE may name."""
        file = self.folder / "authority.pem"
        file.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return file

    @property
    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.file))

    def server(self, name: str, *, ends: timedelta = DAY, self_signed: bool = False) -> ssl.SSLContext:
        """What a server of that name, or literal address, shakes hands with; its certificate ends in `ends`."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            names: x509.GeneralName = x509.IPAddress(ip_address(name))
        except ValueError:
            names = x509.DNSName(name)
        builder = _builder(name, key, ends).add_extension(x509.SubjectAlternativeName([names]), False)
        certificate = self._sign(builder, key if self_signed else self.key)
        file = self.folder / "server.pem"
        file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.public_bytes(Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _sign(
        self, builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey | None = None
    ) -> x509.Certificate:
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
        return builder.issuer_name(issuer).sign(key or self.key, hashes.SHA256())


def _builder(name: str, key: ec.EllipticCurvePrivateKey, ends: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + ends - 3 * DAY)
        .not_valid_after(now + ends)
    )
