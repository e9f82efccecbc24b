"""CERT and CERTREQ payloads, and the X.509 certificates in them.

RFC 2408 sections 3.9 and 3.10, RFC 4945 sections 3.2 and 3.3. Each CERT payload holds one
certificate, or with Windows a PKCS #7 envelope around several. Which of them is the sender's,
and which are those between it and its authority, their order does not say for sure.
"""

import warnings
from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import Certificate

from ipsec.constants import CertificateEncoding, NotifyType, PayloadType
from ipsec.errors import NotifyError
from ipsec.message import Payload, Payloads
from wire import DecodeError, Reader, Writer

MAX_CERTIFICATES: Final = 8
"""Of one message: a peer's own, and more between it and its authority than anybody has."""

NAME_LENGTH: Final = 128
"""Characters of a name that are shown; a peer may send thousands."""

_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    InternalError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,
)
_NO_CERTIFICATES: Final = (CertificateEncoding.CRL, CertificateEncoding.ARL)


def read_certificate(der: bytes) -> Certificate:
    """Return a certificate of which every part can be read. Raises DecodeError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        try:
            certificate = x509.load_der_x509_certificate(der)
            _read_all(certificate)
        except _UNREADABLE as error:
            raise DecodeError(f"no certificate: {error}") from error
    return certificate


def read_certificates(payloads: Payloads) -> list[Certificate]:
    """Return the certificates of a message; revocation lists in it are passed over.

    Raises DecodeError for what cannot be read, and NotifyError for too many and for what is
    neither X.509 nor PKCS #7.
    """
    found: list[Certificate] = []
    for body in payloads.all(PayloadType.CERT):
        reader = Reader(body)
        encoding, data = CertificateEncoding(reader.u8()), reader.rest()
        if encoding == CertificateEncoding.X509_SIGNATURE:
            found.append(read_certificate(data))
        elif encoding == CertificateEncoding.PKCS7:
            found += _unwrap(data)
        elif encoding not in _NO_CERTIFICATES:
            why = f"a certificate of the type {encoding}"
            raise NotifyError(NotifyType.CERT_TYPE_UNSUPPORTED, why)
        if len(found) > MAX_CERTIFICATES:
            why = f"more than {MAX_CERTIFICATES} certificates"
            raise NotifyError(NotifyType.INVALID_CERTIFICATE, why)
    return found


def certificate_payloads(chain: Iterable[Certificate]) -> list[Payload]:
    """Return a CERT payload for each certificate."""
    return [_payload(PayloadType.CERT, entry.public_bytes(Encoding.DER)) for entry in chain]


def request_payloads(authorities: Iterable[Certificate]) -> list[Payload]:
    """Return a CERTREQ payload for each authority whose certificates we take."""
    return [_payload(PayloadType.CERTREQ, entry.subject.public_bytes()) for entry in authorities]


def name_of(name: x509.Name) -> str:
    """Return a distinguished name for people."""
    text = name.rfc4514_string()[:NAME_LENGTH] or "nobody"
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _payload(kind: PayloadType, data: bytes) -> Payload:
    return Payload(kind, Writer().u8(CertificateEncoding.X509_SIGNATURE).put(data).build())


def _unwrap(envelope: bytes) -> list[Certificate]:
    """Return the certificates in a PKCS #7 envelope (RFC 2315 section 9.1)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wrapped = pkcs7.load_der_pkcs7_certificates(envelope)
        except _UNREADABLE as error:
            raise DecodeError(f"no PKCS #7 envelope: {error}") from error
    return [read_certificate(each.public_bytes(Encoding.DER)) for each in wrapped]


def _read_all(certificate: Certificate) -> None:
    """Read what is otherwise read when it is first asked for."""
    for name in (certificate.subject, certificate.issuer):
        name.rfc4514_string()
        name.public_bytes()
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    _ = certificate.serial_number, certificate.extensions
    certificate.public_key()
