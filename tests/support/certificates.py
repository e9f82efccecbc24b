"""Authorities and certificates for tests, with fixed dates; keys are made once for all tests."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509 import Certificate, ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ipsec.credentials import Credentials
from ipsec.payloads import Identification
from ipsec.trust import RevocationList, Trust

TODAY = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
CLIENT_AUTH = (ExtendedKeyUsageOID.CLIENT_AUTH,)
SERVER_AUTH = (ExtendedKeyUsageOID.SERVER_AUTH, ObjectIdentifier("1.3.6.1.5.5.8.2.2"))
SIGNS = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
ENCRYPTS = x509.KeyUsage(False, False, True, False, False, False, False, False, False)
ISSUES = x509.KeyUsage(False, False, False, False, False, True, True, False, False)

Extension = tuple[x509.ExtensionType, bool]


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the key of that name: always the same within a test run."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def distinguished(common_name: str) -> x509.Name:
    """Return a name like those of real authorities."""
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Authority:
    """Issues certificates. One below another has it as `parent`."""

    def __init__(
        self,
        name: str = "Example CA",
        parent: "Authority | None" = None,
        *,
        key: str = "",
        ca: bool | None = True,
        path_length: int | None = None,
        usage: x509.KeyUsage | None = ISSUES,
        start: datetime = TODAY - 100 * DAY,
        days: int = 3650,
        extra: Sequence[Extension] = (),
    ) -> None:
        self.name = distinguished(name)
        self.key = rsa_key(key or name)
        extensions: list[Extension] = list(extra)
        if ca is not None:
            extensions.append((x509.BasicConstraints(ca, path_length), True))
        if usage is not None:
            extensions.append((usage, True))
        issuer = parent or self
        self.certificate = issuer._sign(self.name, self.key, start, days, extensions)

    def issue(
        self,
        name: str = "laptop",
        *,
        key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None,
        usages: Sequence[ObjectIdentifier] | None = CLIENT_AUTH,
        usage: x509.KeyUsage | None = SIGNS,
        names: Sequence[str] = (),
        start: datetime = TODAY - 10 * DAY,
        days: int = 365,
        extra: Sequence[Extension] = (),
        subject: x509.Name | None = None,
    ) -> Certificate:
        """Return the certificate of somebody; `names` are those beside the subject."""
        extensions: list[Extension] = list(extra)
        if usages is not None:
            extensions.append((x509.ExtendedKeyUsage(usages), False))
        if usage is not None:
            extensions.append((usage, True))
        if names:
            extensions.append((x509.SubjectAlternativeName(list(map(_general, names))), False))
        subject = distinguished(name) if subject is None else subject
        return self._sign(subject, key or rsa_key(name), start, days, extensions)

    def revoke(
        self,
        *certificates: Certificate,
        last: datetime = TODAY - DAY,
        next_update: datetime = TODAY + 7 * DAY,
        extra: Sequence[Extension] = (),
    ) -> x509.CertificateRevocationList:
        """Return a revocation list with these certificates."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(last).next_update(next_update)
        for certificate in certificates:
            revoked = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(revoked.revocation_date(last).build())
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, SHA256())

    def _sign(
        self,
        subject: x509.Name,
        key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
        start: datetime,
        days: int,
        extensions: Sequence[Extension],
    ) -> Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + days * DAY)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, SHA256())


@cache
def authority(name: str = "Example CA") -> Authority:
    """Return an authority that many tests share."""
    return Authority(name)


def revocations(*lists: x509.CertificateRevocationList) -> tuple[RevocationList, ...]:
    """Return what the configuration makes of revocation lists."""
    return tuple(
        RevocationList(
            each.issuer, frozenset(entry.serial_number for entry in each), each.next_update_utc
        )
        for each in lists
    )


@cache
def server_certificate() -> Certificate:
    names = ("vpn.example.com", "203.0.113.1", "192.0.2.1")
    return authority().issue("vpn.example.com", usages=SERVER_AUTH, names=names)


@cache
def client_certificate() -> Certificate:
    return authority().issue(names=("laptop.example.com", "bob@example.com", "198.51.100.7"))


def credentials(
    *chain: Certificate,
    key: rsa.RSAPrivateKey | None = None,
    trust: Trust | None = None,
    today: datetime = TODAY,
) -> Credentials:
    """Return the credentials of who has this chain, by default those of the server."""
    chain = chain or (server_certificate(),)
    if key is None:
        (common_name,) = chain[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = rsa_key(str(common_name.value))
    trust = trust or Trust((authority().certificate,))
    return Credentials(chain, key, trust, lambda: today)


def server(*revoked: Certificate, today: datetime = TODAY) -> Credentials:
    """Return the credentials of the server, which knows that these certificates are void."""
    trust = Trust((authority().certificate,))
    if revoked:
        trust = replace(trust, revocations=revocations(authority().revoke(*revoked)))
    return credentials(trust=trust, today=today)


def client(*chain: Certificate) -> Credentials:
    """Return the credentials of a client, by default those of a good one."""
    return credentials(*(chain or (client_certificate(),)))


def pem(*certificates: Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def key_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def subject_of(certificate: Certificate) -> Identification:
    """Return the identity that clients send."""
    return credentials(certificate).identity


def _general(name: str) -> x509.GeneralName:
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
