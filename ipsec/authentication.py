"""How phase 1 is authenticated: by a pre-shared key or by signatures.

RFC 2409 sections 5.1 and 5.4. The exchanges have their messages in common; they differ in what
SKEYID is made of, in who one says to be, and in the proof of it, which is HASH_I or HASH_R
itself, or the signature of it.
"""

from hmac import compare_digest
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ipsec.certificates import (
    certificate_payloads,
    name_of,
    read_certificates,
    request_payloads,
)
from ipsec.config import IkeConfig, PresharedKey
from ipsec.constants import (
    IKE_PORT,
    NATT_PORT,
    PROTOCOL_UDP,
    AuthenticationMethod,
    IdType,
    NotifyType,
    PayloadType,
)
from ipsec.credentials import Credentials, find_bound, is_signed
from ipsec.errors import NotifyError
from ipsec.message import Payload, Payloads
from ipsec.payloads import Identification
from ipsec.trust import OF_CLIENTS, OF_SERVERS, usable
from wire import DecodeError, Reader

BY_CERTIFICATE: Final = "certificate"
"""The name of what is no pre-shared key."""


class Authentication(Protocol):
    """One way to prove who we are, and to have the peer prove it.

    `name` is what the configuration calls it. `psk` is what SKEYID is made of, None for
    signatures. `digest` is HASH_I or HASH_R.
    """

    @property
    def name(self) -> str: ...

    @property
    def psk(self) -> bytes | None: ...

    def identity(self, host: str) -> Identification:
        """Return who we are where nothing else is set; `host` is our address."""

    def prove(self, digest: bytes) -> list[Payload]:
        """Return the payloads that prove it."""

    def verify(self, digest: bytes, id_b: bytes, payloads: Payloads) -> Identification:
        """Return who the peer has proven to be by a message. Raises NotifyError, DecodeError."""

    def undecipherable(self) -> NotifyError:
        """Return what a message means that cannot be decrypted."""


class KeyProof:
    """By a pre-shared key (RFC 2409 section 5.4)."""

    __slots__ = ("name", "psk")

    def __init__(self, key: PresharedKey) -> None:
        self.name = key.name
        self.psk = key.secret

    def identity(self, host: str) -> Identification:
        """Return our address."""
        return Identification.of_address(host)

    def prove(self, digest: bytes) -> list[Payload]:
        """Return HASH_I or HASH_R as it is."""
        return [Payload(PayloadType.HASH, digest)]

    def verify(self, digest: bytes, id_b: bytes, payloads: Payloads) -> Identification:
        """See that the HASH payload is right, in constant time."""
        if not compare_digest(payloads.the(PayloadType.HASH), digest):
            raise NotifyError(
                NotifyType.INVALID_HASH_INFORMATION,
                "the proof of identity does not fit what was negotiated",
                "something between client and server changes their messages",
            )
        return read_identification(id_b)

    def undecipherable(self) -> NotifyError:
        """Another key gives another SKEYID."""
        return NotifyError(
            NotifyType.PAYLOAD_MALFORMED,
            "the pre-shared key differs: the proof of identity cannot be decrypted",
            "set the same pre-shared key on client and server",
        )


class SignatureProof:
    """By RSA signatures (RFC 2409 section 5.1)."""

    __slots__ = ("_credentials", "_purposes")

    name = BY_CERTIFICATE
    psk = None

    def __init__(self, credentials: Credentials, initiator: bool) -> None:
        self._credentials = credentials
        self._purposes = OF_SERVERS if initiator else OF_CLIENTS

    def identity(self, host: str) -> Identification:
        """Return the subject of our certificate."""
        return self._credentials.identity

    def prove(self, digest: bytes) -> list[Payload]:
        """Return our certificates, whether they were asked for or not, and the signature."""
        certificates = certificate_payloads(self._credentials.chain)
        return [*certificates, Payload(PayloadType.SIG, self._credentials.sign(digest))]

    def verify(self, digest: bytes, id_b: bytes, payloads: Payloads) -> Identification:
        """See that the peer's certificate names it, that it has signed, and that we trust it."""
        identity = read_identification(id_b)
        try:
            certificates = read_certificates(payloads)
            signature = payloads.find(PayloadType.SIG)
        except DecodeError as error:
            raise NotifyError(NotifyType.INVALID_CERT_ENCODING, str(error)) from error
        if not certificates or signature is None:
            what = "signature" if certificates else "certificate"
            raise NotifyError(
                NotifyType.AUTHENTICATION_FAILED,
                f"the peer sent no {what}",
                "install a certificate with its private key on the client",
            )
        found = find_bound(identity, certificates)
        if found is None:
            said = "" if identity.type == IdType.DER_ASN1_DN else f" {identity}"
            raise NotifyError(
                NotifyType.INVALID_ID_INFORMATION,
                f"the identity{said} is not in the certificate of "
                f"{name_of(certificates[0].subject)}",
                "let the client's identity be the subject of its certificate, or a name in it",
            )
        certificate, identity = found
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey) or not usable(key):
            why = "the certificate has no RSA key of 2048 to 8192 bits"
            raise NotifyError(NotifyType.INVALID_CERTIFICATE, why, "issue the client a new one")
        if not is_signed(signature, digest, certificate):
            raise NotifyError(
                NotifyType.INVALID_SIGNATURE,
                f"the signature is not by the key of {name_of(certificate.subject)}",
                "does the private key on the client belong to its certificate?",
            )
        others = [entry for entry in certificates if entry is not certificate]
        credentials = self._credentials
        credentials.trust.verify(certificate, others, self._purposes, credentials.calendar())
        return identity

    def undecipherable(self) -> NotifyError:
        """The keys come from the key exchange alone."""
        return NotifyError(
            NotifyType.PAYLOAD_MALFORMED,
            "the proof of identity cannot be decrypted",
            "something between client and server changes their messages",
        )


def methods(config: IkeConfig, host: str) -> tuple[AuthenticationMethod, ...]:
    """Return the methods that a peer at `host` may choose from.

    Without certificates that is the one by pre-shared key, even if there is none for the host:
    then it is only told so when it has shown, by message 5, that it hears us.
    """
    if config.credentials is None:
        return (AuthenticationMethod.PRE_SHARED_KEY,)
    if not config.preshared_keys(host):
        return (AuthenticationMethod.RSA_SIGNATURES,)
    return AuthenticationMethod.RSA_SIGNATURES, AuthenticationMethod.PRE_SHARED_KEY


def candidates(
    method: AuthenticationMethod, config: IkeConfig, host: str, initiator: bool
) -> list[Authentication]:
    """Return what may authenticate a peer at `host`, the most likely first."""
    if method == AuthenticationMethod.PRE_SHARED_KEY:
        return [KeyProof(key) for key in config.preshared_keys(host)]
    return [] if config.credentials is None else [SignatureProof(config.credentials, initiator)]


def requests(method: AuthenticationMethod, config: IkeConfig) -> list[Payload]:
    """Return what to ask the peer for with the key exchange: Windows goes by the authorities."""
    if method == AuthenticationMethod.PRE_SHARED_KEY or config.credentials is None:
        return []
    return request_payloads(config.credentials.trust.authorities)


def read_identification(body: bytes) -> Identification:
    """Return a phase-1 identity, which names no other port than IKE's (RFC 2407 4.6.2).

    Raises NotifyError.
    """
    try:
        identity = Identification.parse(Reader(body))
    except DecodeError as error:
        raise NotifyError(NotifyType.INVALID_ID_INFORMATION, str(error)) from error
    if identity.protocol not in (0, PROTOCOL_UDP) or identity.port not in (0, IKE_PORT, NATT_PORT):
        raise NotifyError(NotifyType.INVALID_ID_INFORMATION, f"identity {identity}")
    return identity
