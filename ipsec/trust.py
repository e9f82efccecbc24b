"""Whose certificates are good: the path to an authority, revocation, and what they are for.

RFC 4945 section 5.1 is the profile, RFC 5280 section 6 the algorithm. The path is found here,
certificate by certificate, so that what a stranger sends costs a bounded number of signature
checks and a refusal can name its cause; the library then judges the one path that was found,
name constraints and critical extensions included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import Certificate, ObjectIdentifier, verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from ipsec.certificates import name_of
from ipsec.constants import NotifyType
from ipsec.errors import NotifyError

MAX_PATH: Final = 5
"""Certificates from a peer's own to that of an authority, both included."""

RSA_BITS: Final = range(2048, 8193)
_MAX_EXPONENT_BITS: Final = 33
"""Longer ones make a signature check as dear as a signature."""

IKE_INTERMEDIATE: Final = ObjectIdentifier("1.3.6.1.5.5.8.2.2")
"""What macOS and old versions of Windows look for in the certificate of a server."""

_IPSEC: Final = frozenset(
    (
        IKE_INTERMEDIATE,
        ObjectIdentifier("1.3.6.1.5.5.7.3.5"),  # id-kp-ipsecEndSystem
        ObjectIdentifier("1.3.6.1.5.5.7.3.6"),  # id-kp-ipsecTunnel
        ObjectIdentifier("1.3.6.1.5.5.7.3.7"),  # id-kp-ipsecUser
        ExtendedKeyUsageOID.IPSEC_IKE,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    )
)
OF_CLIENTS: Final = _IPSEC | {ExtendedKeyUsageOID.CLIENT_AUTH}
OF_SERVERS: Final = _IPSEC | {ExtendedKeyUsageOID.SERVER_AUTH}
"""Extended key usages, one of which a certificate must have unless it has none at all."""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """The newest word of an authority on which of its certificates are void."""

    issuer: x509.Name
    serial_numbers: frozenset[int]
    next_update: datetime | None


@dataclass(frozen=True, slots=True)
class Trust:
    """The authorities that are believed, and the revocation lists that they have issued."""

    authorities: tuple[Certificate, ...]
    revocations: tuple[RevocationList, ...] = ()

    def verify(
        self,
        certificate: Certificate,
        others: Sequence[Certificate],
        purposes: frozenset[ObjectIdentifier],
        now: datetime,
    ) -> None:
        """See that a certificate is good for one of `purposes` now.

        `others` may hold certificates between it and an authority. Raises NotifyError.
        """
        _check_usage(certificate, purposes)
        path = self._path(certificate, others)
        for entry in path:
            _check_dates(entry, now)
            self._check_revocation(entry, now)
        try:
            _verifier(path, now).verify(certificate, path[1:-1])
        except verification.VerificationError as error:
            why = str(error).removeprefix("validation failed: ").partition(" (encountered")[0]
            raise _invalid(certificate, f"is not valid: {why}", _ISSUE_ANEW) from error

    def _path(self, certificate: Certificate, others: Sequence[Certificate]) -> list[Certificate]:
        """Return the certificates up to that of an authority, each signed by the one after it."""
        path, between = [certificate], list(others)
        while len(path) < MAX_PATH:
            anchor = _issuer(path[-1], self.authorities)
            if anchor is not None:
                return [*path, anchor]
            issuer = _issuer(path[-1], between)
            if issuer is None:
                break
            between.remove(issuer)
            path.append(issuer)
        if _is_signed_weakly(path[-1]):
            hint = "issue it anew, signed with SHA-256"
            raise _invalid(path[-1], "is signed with MD5 or SHA-1", hint)
        raise NotifyError(
            NotifyType.INVALID_CERT_AUTHORITY,
            f"no known authority has issued the certificate of {name_of(certificate.subject)}; "
            f"its issuer is {name_of(path[-1].issuer)}",
            "give the client a certificate of an authority in ipsec.client_ca, or add its own",
        )

    def _check_revocation(self, certificate: Certificate, now: datetime) -> None:
        for revocation in self.revocations:
            if revocation.issuer != certificate.issuer:
                continue
            if revocation.next_update is not None and now > revocation.next_update:
                raise NotifyError(
                    NotifyType.INVALID_CERTIFICATE,
                    f"the revocation list of {name_of(revocation.issuer)} was good until "
                    f"{revocation.next_update:%Y-%m-%d}",
                    "put a new one into the file of ipsec.crl, then reload",
                )
            if certificate.serial_number in revocation.serial_numbers:
                raise _invalid(certificate, "is revoked", _ISSUE_ANEW)


_ISSUE_ANEW: Final = "issue the client a new certificate"


def usable(key: object) -> bool:
    """Say whether a public key is one that signatures are checked with."""
    if isinstance(key, rsa.RSAPublicKey):
        exponent = key.public_numbers().e
        return key.key_size in RSA_BITS and exponent.bit_length() <= _MAX_EXPONENT_BITS
    return isinstance(key, ec.EllipticCurvePublicKey)


def extended_usages(certificate: Certificate) -> frozenset[ObjectIdentifier] | None:
    """Return the extended key usages of a certificate; None where it is for any purpose."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return None
    return frozenset(found.value)


def signs(certificate: Certificate) -> bool:
    """Say whether the key usage of a certificate allows signatures (RFC 4945 5.1.3.2)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature or usage.content_commitment


def _check_usage(certificate: Certificate, purposes: frozenset[ObjectIdentifier]) -> None:
    usages = extended_usages(certificate)
    if usages is not None and not usages & purposes:
        names = ", ".join(sorted(usage.dotted_string for usage in usages))
        hint = "issue one with the extended key usage clientAuth (1.3.6.1.5.5.7.3.2)"
        raise _invalid(certificate, f"has only the extended key usages {names}", hint)
    if not signs(certificate):
        hint = "issue one with the key usage digitalSignature"
        raise _invalid(certificate, "is not for signatures", hint)


def _check_dates(certificate: Certificate, now: datetime) -> None:
    if now > certificate.not_valid_after_utc:
        expired = f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        raise _invalid(certificate, expired, _ISSUE_ANEW)
    if now < certificate.not_valid_before_utc:
        hint = "is the clock of this server right?"
        early = f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
        raise _invalid(certificate, early, hint)


def _issuer(certificate: Certificate, known: Sequence[Certificate]) -> Certificate | None:
    return next((entry for entry in known if issued_by(certificate, entry)), None)


def issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Say whether the name and the signature are those of `issuer`."""
    if certificate.issuer != issuer.subject or not usable(issuer.public_key()):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_signed_weakly(certificate: Certificate) -> bool:
    """Say whether nobody can tell who has issued a certificate: its hash can be forged."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return False
    return isinstance(algorithm, hashes.MD5 | hashes.SHA1)


def _verifier(path: Sequence[Certificate], now: datetime) -> verification.ClientVerifier:
    of_authorities = (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, verification.Criticality.AGNOSTIC, _signs_certificates)
    )
    of_peers = verification.ExtensionPolicy.permit_all()
    return (
        verification.PolicyBuilder()
        .store(verification.Store([path[-1]]))
        .time(now)
        .max_chain_depth(MAX_PATH)
        .extension_policies(ca_policy=of_authorities, ee_policy=of_peers)
        .build_client_verifier()
    )


def _signs_certificates(
    policy: verification.Policy, certificate: Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the key usage of an authority does not allow it to sign certificates")


def _invalid(certificate: Certificate, what: str, hint: str) -> NotifyError:
    why = f"the certificate of {name_of(certificate.subject)} {what}"
    return NotifyError(NotifyType.INVALID_CERTIFICATE, why, hint)
