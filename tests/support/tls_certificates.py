"""Certificates for tests: a CA, and what it signs, written as files in PEM."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from l2gate.configuration import Certificates

NOW = datetime.now().replace(microsecond=0)
DAY = timedelta(days=1)
UPN = ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def upn(name: str) -> x509.OtherName:
    return x509.OtherName(UPN, b"\x0c" + bytes([len(name.encode())]) + name.encode())


def email(name: str) -> x509.RFC822Name:
    return x509.RFC822Name(name)


class Authority:
    """A CA that keeps its files in a directory."""

    def __init__(self, directory: Path, name: str = "Lab CA") -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        builder = self._builder(self.name, self.key, DAY).add_extension(basic, critical=True)
        self.file = self._write(f"{name}.pem", builder.sign(self.key, hashes.SHA256()))

    def issue(
        self,
        name: str,
        usage: ObjectIdentifier | None = CLIENT,
        names: Sequence[x509.GeneralName] = (),
        ends: timedelta = DAY,
        rsa_bits: int = 0,
    ) -> tuple[Path, Path]:
        """Return the files of a new certificate and its key."""
        key: Key = ec.generate_private_key(ec.SECP256R1())
        if rsa_bits:
            key = rsa.generate_private_key(65537, rsa_bits)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
        builder = self._builder(subject, key, ends)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        stem = f"{len(list(self.directory.iterdir()))}"
        certificate = self._write(f"{stem}.pem", builder.sign(self.key, hashes.SHA256()))
        path = self.directory / f"{stem}.key"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
        return certificate, path

    def for_server(self, **settings: object) -> Certificates:
        """Return what ppp.eap needs: a new certificate for us, and this CA for clients."""
        certificate, key = self.issue("vpn.example.com", SERVER, **settings)  # type: ignore[arg-type]
        return Certificates(certificate, key, self.file)

    def _builder(self, subject: x509.Name, key: Key, ends: timedelta) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 3 * DAY)
            .not_valid_after(NOW + ends)
        )

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self.directory / name
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return path
