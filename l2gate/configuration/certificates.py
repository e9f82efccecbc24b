"""Certificates, keys and revocation lists out of their files, and what clients may dislike.

What Windows and macOS demand of the certificate of a server cannot be seen from here when they
refuse it: they just go. So it is said beforehand.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from ipsec.certificates import MAX_CERTIFICATES, name_of
from ipsec.credentials import Calendar, Credentials
from ipsec.trust import (
    IKE_INTERMEDIATE,
    RevocationList,
    Trust,
    extended_usages,
    issued_by,
    signs,
    usable,
)
from l2gate.configuration.files import warn_if_exposed
from l2gate.configuration.section import Expected, Section

LARGEST_FILE: Final = 16 << 20
"""Octets; a revocation list with a few hundred thousand certificates."""

EXPIRES_SOON: Final = timedelta(days=30)

_KNOWN_CRL_EXTENSIONS: Final = (x509.CRLNumber, x509.AuthorityKeyIdentifier)

Value = TypeVar("Value")


class SignedList(NamedTuple):
    """A revocation list with its date. Authorities may share a name, each has its own key."""

    signer: Certificate
    updated: datetime
    revocation: RevocationList


def read_credentials(
    section: Section,
    certificate: Path,
    private_key: Path | None,
    client_ca: tuple[Path, ...],
    crl: tuple[Path, ...],
    calendar: Calendar,
) -> Credentials | None:
    """Read the files that these keys of `ipsec` name; None where one of them is of no use."""
    chain = _read(section, "certificate", certificate, _certificates) or ()
    key = None
    if private_key is None:
        section.error("certificate", "needs its key: add for example 'private_key: server.key'")
    else:
        key = _read(section, "private_key", private_key, _private_key, secret=True)
    if not client_ca:
        section.error("certificate", "needs authorities: add for example 'client_ca: ca.pem'")
    authorities: list[Certificate] = []
    for file in client_ca:
        entries = _read(section, "client_ca", file, _certificates) or ()
        authorities += [entry for entry in entries if _is_authority(section, file, entry)]
    revocations = [
        _read(section, "crl", file, lambda content: _revocations(content, authorities))
        for file in crl
    ]
    if not chain or key is None or not authorities or None in revocations:
        return None
    if len(chain) > MAX_CERTIFICATES:
        section.error("certificate", f"expected at most {MAX_CERTIFICATES} certificates")
    if chain[0].public_key() != key.public_key():
        section.error(
            "private_key", "is not the key of the first certificate in the file of 'certificate'"
        )
        return None
    newest: dict[Certificate, SignedList] = {}
    for found in filter(None, revocations):
        other = newest.setdefault(found.signer, found)
        if other.updated < found.updated:
            newest[found.signer] = found
    trust = Trust(tuple(authorities), tuple(found.revocation for found in newest.values()))
    credentials = Credentials(chain, key, trust, calendar)
    _warn_of_dates(section, credentials)
    _warn_of_usage(section, chain)
    return credentials


def warn_of_names(
    section: Section,
    credentials: Credentials,
    server: str,
    identity: IPv4Address | IPv6Address | str | None,
) -> None:
    """Warn if the names in our certificate are not those that clients look for."""
    leaf = credentials.chain[0]
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        section.warn(
            "certificate",
            "has no subject alternative name: Windows, macOS and iOS look for the name that "
            "they dial there",
        )
        found = x509.SubjectAlternativeName([])
    names = [name.lower() for name in found.get_values_for_type(x509.DNSName)]
    known = [*names, *map(str, found.get_values_for_type(x509.IPAddress))]
    if known and "." in server and not _is_among(server.lower(), known):
        section.warn(
            "certificate",
            f"is for {', '.join(known)} and not for server.name, {server!r}: Windows, macOS and "
            "iOS look for the name that they dial there",
        )
    if identity is not None and str(identity).lower() not in known:
        section.warn(
            "identity", f"{identity} is no name in the certificate, where clients look for it"
        )
    if identity is None and not leaf.subject:
        section.error("certificate", "has no subject to be the server's identity: set 'identity'")


def _is_among(name: str, known: list[str]) -> bool:
    parent = name.partition(".")[2]
    return name in known or f"*.{parent}" in known


# Files


def _read(
    section: Section,
    key: str,
    file: Path,
    parse: Callable[[bytes], Value],
    secret: bool = False,
) -> Value | None:
    """Return what is in a file, relative to the one that names it; None if it is of no use."""
    path = Path(section.file).parent / file
    try:
        with path.open("rb") as stream:
            if secret:
                warn_if_exposed(path, stream.fileno(), section.problems)
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        section.error(key, f"{path} cannot be read: {error.strerror}")
        return None
    try:
        if len(content) > LARGEST_FILE:
            raise Expected(f"at most {LARGEST_FILE >> 20} MiB")
        return parse(content)
    except Expected as error:
        section.error(key, f"expected {error} in {path}")
        return None


def _certificates(content: bytes) -> tuple[Certificate, ...]:
    try:
        found = tuple(x509.load_pem_x509_certificates(content))
        keys = [entry.public_key() for entry in found]
        _ = [entry.extensions for entry in found]
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise Expected("certificates in PEM") from error
    if not all(map(usable, keys)):
        raise Expected("certificates with RSA keys of 2048 to 8192 bits")
    return found


def _private_key(content: bytes) -> rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError as error:
        raise Expected("a key without a passphrase") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Expected("a private key in PEM") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Expected("an RSA key")
    return key


def _revocations(content: bytes, authorities: list[Certificate]) -> SignedList:
    """Return a revocation list, once its signature is verified."""
    try:
        if content.lstrip().startswith(b"-----"):
            found = x509.load_pem_x509_crl(content)
        else:
            found = x509.load_der_x509_crl(content)
        unknown = [
            entry.oid.dotted_string
            for entry in found.extensions
            if entry.critical and not isinstance(entry.value, _KNOWN_CRL_EXTENSIONS)
        ]
        serial_numbers = frozenset(entry.serial_number for entry in found)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise Expected("a revocation list in PEM or DER") from error
    if unknown:
        raise Expected(f"a complete revocation list, not one with {', '.join(unknown)},")
    signer = next((entry for entry in authorities if _has_signed(entry, found)), None)
    if signer is None:
        raise Expected(
            f"a revocation list of an authority in 'client_ca', not of {name_of(found.issuer)},"
        )
    revocation = RevocationList(found.issuer, serial_numbers, found.next_update_utc)
    return SignedList(signer, found.last_update_utc, revocation)


def _has_signed(authority: Certificate, revocations: x509.CertificateRevocationList) -> bool:
    key = authority.public_key()
    if authority.subject != revocations.issuer:
        return False
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return False
    return revocations.is_signature_valid(key)


# What is unwise


def _is_authority(section: Section, file: Path, certificate: Certificate) -> bool:
    try:
        is_one = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_one = False
    if not is_one:
        section.error(
            "client_ca",
            f"{name_of(certificate.subject)} in {file} is no certificate of an authority "
            "(basicConstraints CA:TRUE)",
        )
    return is_one


def _warn_of_dates(section: Section, credentials: Credentials) -> None:
    now = credentials.calendar().astimezone(UTC)
    for key, certificate in _all_of(credentials):
        end, start = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        name = name_of(certificate.subject)
        if now > end:
            section.warn(key, f"{name} expired on {end:%Y-%m-%d}: renew it, then reload")
        elif now + EXPIRES_SOON > end:
            section.warn(key, f"{name} expires on {end:%Y-%m-%d}: renew it, then reload")
        elif now < start:
            section.warn(key, f"{name} is not valid before {start:%Y-%m-%d}")
    for revocation in credentials.trust.revocations:
        end_of_list = revocation.next_update
        if end_of_list is not None and now > end_of_list:
            section.warn(
                "crl",
                f"the list of {name_of(revocation.issuer)} was good until {end_of_list:%Y-%m-%d}: "
                "until there is a new one, all clients of this authority are refused",
            )


def _all_of(credentials: Credentials) -> Iterator[tuple[str, Certificate]]:
    for certificate in credentials.chain:
        yield "certificate", certificate
    for certificate in credentials.trust.authorities:
        yield "client_ca", certificate


def _warn_of_usage(section: Section, chain: tuple[Certificate, ...]) -> None:
    leaf = chain[0]
    usages = extended_usages(leaf) or frozenset()
    if ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        section.warn("certificate", "has no extended key usage serverAuth, which Windows demands")
    if not usages & {IKE_INTERMEDIATE, ExtendedKeyUsageOID.SERVER_AUTH}:
        section.warn(
            "certificate",
            "has neither serverAuth nor IP security IKE intermediate (1.3.6.1.5.5.8.2.2) among "
            "its extended key usages, one of which macOS and iOS demand",
        )
    if not signs(leaf):
        section.warn("certificate", "has no key usage digitalSignature: clients may refuse it")
    for issued, issuer in pairwise(chain):
        if not issued_by(issued, issuer):
            section.warn(
                "certificate",
                f"{name_of(issuer.subject)} has not issued the certificate before it: begin with "
                "the server's own, and let each be followed by its issuer's",
            )
