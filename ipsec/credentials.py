"""Who we are by certificate, and how a peer's identity hangs on its own.

RFC 2409 section 5.1, RFC 4945 section 3.1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo
from cryptography.x509 import Certificate

from ipsec.certificates import name_of
from ipsec.constants import IdType
from ipsec.payloads import Identification
from ipsec.trust import Trust

Calendar = Callable[[], datetime]
"""Returns the date and time, with its time zone. Certificates are good until a date."""


@dataclass(frozen=True)
class Credentials:
    """Our certificate with those between it and its authority, our key, and whom we believe."""

    chain: tuple[Certificate, ...]
    key: rsa.RSAPrivateKey = field(repr=False, compare=False)
    trust: Trust
    calendar: Calendar = field(compare=False)

    @property
    def identity(self) -> Identification:
        """The subject of our certificate: what clients expect (RFC 4945 section 3.1.5)."""
        subject = self.chain[0].subject
        return Identification(IdType.DER_ASN1_DN, 0, 0, subject.public_bytes(), name_of(subject))

    def sign(self, digest: bytes) -> bytes:
        """Return the signature of HASH_I or HASH_R: no hash over it, and no name of one."""
        return self.key.sign(digest, PKCS1v15(), NoDigestInfo())


def is_signed(signature: bytes, digest: bytes, certificate: Certificate) -> bool:
    """Say whether the owner of a certificate has signed HASH_I or HASH_R."""
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        return key.recover_data_from_signature(signature, PKCS1v15(), NoDigestInfo()) == digest
    except (InvalidSignature, ValueError):
        return False


def find_bound(
    identity: Identification, certificates: Sequence[Certificate]
) -> tuple[Certificate, Identification] | None:
    """Return the certificate that says the same of its owner as `identity` does, or None.

    A distinguished name, which the payload has in DER, comes back with its text.
    """
    for certificate in certificates:
        if is_bound(identity, certificate):
            if identity.type == IdType.DER_ASN1_DN:
                identity = replace(identity, name=name_of(certificate.subject))
            return certificate, identity
    return None


def is_bound(identity: Identification, certificate: Certificate) -> bool:
    """Say whether a certificate has `identity` as its subject or among the names beside it."""
    if identity.type == IdType.DER_ASN1_DN:
        return bool(certificate.subject) and identity.data == certificate.subject.public_bytes()
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    if identity.address is not None:
        return ip_address(identity.data) in names.get_values_for_type(x509.IPAddress)
    if identity.type == IdType.FQDN:
        known: list[str] = names.get_values_for_type(x509.DNSName)
    elif identity.type == IdType.USER_FQDN:
        known = names.get_values_for_type(x509.RFC822Name)
    else:
        return False
    return identity.data.decode("utf-8", "replace").lower() in [name.lower() for name in known]
