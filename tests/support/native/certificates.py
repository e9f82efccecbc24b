"""What is different in Main Mode with certificates; profile.py says what the tags mean.

No client was recorded with certificates: the order of the payloads is that of RFC 2409 [R], what
is demanded of the server's certificate is documented by the vendors or recollected [D] [R].
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ObjectIdentifier

from ipsec.constants import AuthenticationMethod, IdType, IkeAttribute, PayloadType
from ipsec.credentials import Credentials
from ipsec.message import Payload, Payloads
from ipsec.payloads import Identification
from ipsec.proposals import Attribute, Proposal, SecurityAssociation, Transform
from tests.support import fragments
from tests.support.native.agenda import require
from tests.support.native.profile import Phase1, Profile
from wire import Reader

SERVER_AUTH = ObjectIdentifier("1.3.6.1.5.5.7.3.1")
IKE_INTERMEDIATE = ObjectIdentifier("1.3.6.1.5.5.8.2.2")
WHOLE = 1 << 16


@dataclass(frozen=True)
class Certified:
    """How a client uses its certificate.

    `usages` are those of which the server's certificate must have one, `names_server` says that
    it must have the address that was dialled; `envelope` that the client's certificates go into
    PKCS #7; `cut` is how it fragments messages of more than `limit` octets.
    """

    credentials: Credentials
    usages: tuple[ObjectIdentifier, ...] = ()
    names_server: bool = False
    envelope: bool = False
    limit: int = WHOLE
    cut: fragments.Cut = lambda message: [message]

    @property
    def identity(self) -> Identification:
        return self.credentials.identity

    def check_requests(self, payloads: Payloads) -> None:
        """See in message 4 that the server takes certificates of our authority."""
        (*_, last) = self.credentials.chain
        wanted = b"\4" + last.issuer.public_bytes()
        require(wanted in payloads.all(PayloadType.CERTREQ), "no certificate fits the requests")

    def prove(self, digest: bytes) -> list[Payload]:
        """Return what follows the identity in message 5."""
        chain = self.credentials.chain
        if self.envelope:
            bodies = [b"\1" + pkcs7.serialize_certificates(list(chain), Encoding.DER)]
        else:
            bodies = [b"\4" + each.public_bytes(Encoding.DER) for each in chain]
        (*_, last) = chain
        return [
            *(Payload(PayloadType.CERT, body) for body in bodies),
            Payload(PayloadType.SIG, self.credentials.sign(digest)),
            Payload(PayloadType.CERTREQ, b"\4" + last.issuer.public_bytes()),
        ]

    def check(self, payloads: Payloads, digest: bytes, host: str) -> None:
        """See in message 6 that the server is who was dialled."""
        leaf = x509.load_der_x509_certificate(payloads.all(PayloadType.CERT)[0][1:])
        key = leaf.public_key()
        assert isinstance(key, RSAPublicKey)
        signature = payloads.the(PayloadType.SIG)
        signed = key.recover_data_from_signature(signature, PKCS1v15(), NoDigestInfo())
        require(signed == digest, "SIG_R is wrong")
        identity = Identification.parse(Reader(payloads.the(PayloadType.ID)))
        require(identity.type == IdType.DER_ASN1_DN, f"{identity} is no name")
        require(identity.data == leaf.subject.public_bytes(), f"{identity} is somebody else")
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        require(not self.usages or bool({*usages} & {*self.usages}), "not for servers")
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        known = map(str, names.get_values_for_type(x509.IPAddress))
        require(not self.names_server or host in known, f"{host} is not in the certificate")
        issuer = self.credentials.trust.authorities[0]
        leaf.verify_directly_issued_by(issuer)


def certified(
    profile: Profile, form: Callable[[Credentials], Certified], who: Credentials
) -> Profile:
    """Return a client that has a certificate in place of the pre-shared key."""
    offer = _with_signatures(profile.phase1.offer)
    phase1: Phase1 = replace(profile.phase1, offer=offer, certified=form(who))
    return replace(profile, name=f"{profile.name} with a certificate", phase1=phase1)


def windows(credentials: Credentials) -> Certified:
    """[R] the limit: it is not known where Windows begins to fragment."""
    return Certified(
        credentials, (SERVER_AUTH,), envelope=True, limit=548, cut=fragments.windows(512)
    )


def racoon(credentials: Credentials) -> Certified:
    """[S] the limit, and that the server's certificate must have what was dialled."""
    usages = (SERVER_AUTH, IKE_INTERMEDIATE)
    return Certified(credentials, usages, True, limit=1280, cut=fragments.strongswan(1200))


def strongswan(credentials: Credentials) -> Certified:
    """[R] the limit."""
    return Certified(credentials, limit=1280, cut=fragments.strongswan(1200))


def _with_signatures(offer: SecurityAssociation) -> SecurityAssociation:
    method = Attribute.short(
        IkeAttribute.AUTHENTICATION_METHOD, AuthenticationMethod.RSA_SIGNATURES
    )

    def changed(transform: Transform) -> Transform:
        attributes = tuple(
            method if attribute.type == method.type else attribute
            for attribute in transform.attributes
        )
        return replace(transform, attributes=attributes)

    (proposal,) = offer.proposals
    transforms: tuple[Transform, ...] = tuple(map(changed, proposal.transforms))
    other: Proposal = replace(proposal, transforms=transforms)
    return SecurityAssociation((other,))
