"""Which offers are taken.

Among the offers that we understand the policy decides by its own order, not by the peer's. So
it is here that the strongest group wins, and in ESP what RFC 8221 prefers: AES-GCM, SHA2, SHA-1.
Of SHA2 the shortest ICV comes first: those of the others make packets longer, of which the
largest would have to be fragmented. Signatures win over pre-shared keys: who offers both has a
certificate, and a key that all clients share proves less (RFC 3193 section 5.1.4).
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from typing import Final

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import (
    AuthenticationAlgorithm,
    AuthenticationMethod,
    EncapsulationMode,
    EncryptionAlgorithm,
    EspTransform,
    GroupDescription,
    HashAlgorithm,
    NotifyType,
    ProtocolId,
)
from ipsec.errors import NotifyError
from ipsec.offers import (
    EspOffer,
    IkeOffer,
    IkeSuite,
    describe,
    read_esp_offer,
    read_ike_offer,
)
from ipsec.proposals import Proposal, SecurityAssociation, Transform

SPI_LENGTH: Final = 4
MAX_OFFERS: Final = 64
"""So many transforms of one offer are reported in events."""

METHODS: Final = (AuthenticationMethod.RSA_SIGNATURES, AuthenticationMethod.PRE_SHARED_KEY)
"""The methods of authentication that there are, in the order of our preference."""

MAX_OFFERS_NAMED: Final = 20
"""So many offers are listed in the log line of a failure."""


@dataclass(frozen=True, eq=False)
class Policy:
    """What is accepted, in the order of our preference; `name` is for the log."""

    name: str
    ike: tuple[IkeSuite, ...]
    esp: tuple[EspAlgorithms, ...]

    @cached_property
    def ike_ranks(self) -> dict[IkeSuite, int]:
        """The place of each suite in the order."""
        return {suite: rank for rank, suite in enumerate(self.ike)}

    @cached_property
    def esp_ranks(self) -> dict[EspAlgorithms, int]:
        """The place of each set of algorithms in the order."""
        return {algorithms: rank for rank, algorithms in enumerate(self.esp)}

    @cached_property
    def groups(self) -> frozenset[GroupDescription]:
        """Groups that perfect forward secrecy may use: those of phase 1."""
        return frozenset(suite.group for suite in self.ike)

    def ike_rank(self, offer: IkeOffer | None) -> int | None:
        """Return the place of a phase-1 offer in the order, or None if it is not accepted."""
        if offer is None or offer.method not in METHODS:
            return None
        return self.ike_ranks.get(offer.suite)

    def esp_rank(self, offer: EspOffer | None) -> int | None:
        """Return the place of a phase-2 offer in the order, or None if it is not accepted."""
        if offer is None or not (offer.group is None or offer.group in self.groups):
            return None
        return self.esp_ranks.get(offer.algorithms)


@dataclass(frozen=True, slots=True)
class IkeChoice:
    """The phase-1 transform that was chosen, as offered and as understood."""

    proposal: Proposal
    transform: Transform
    offer: IkeOffer

    def answer(self) -> SecurityAssociation:
        """Return the SA payload that says so."""
        answer = Proposal(self.proposal.number, ProtocolId.ISAKMP, b"", (self.transform,))
        return SecurityAssociation((answer,))


@dataclass(frozen=True, slots=True)
class EspChoice:
    """The phase-2 transform that was chosen, as offered and as understood."""

    proposal: Proposal
    transform: Transform
    offer: EspOffer

    def answer(self, spi: int) -> SecurityAssociation:
        """Return the SA payload that says so; `spi` is that of our inbound SA."""
        octets = spi.to_bytes(SPI_LENGTH, "big")
        answer = Proposal(self.proposal.number, ProtocolId.ESP, octets, (self.transform,))
        return SecurityAssociation((answer,))

    @property
    def spi(self) -> int:
        """The SPI of the sender's inbound SA: what is outbound for the receiver."""
        return int.from_bytes(self.proposal.spi, "big")


def choose_ike(
    sa: SecurityAssociation,
    policy: Policy,
    methods: Collection[AuthenticationMethod] = (AuthenticationMethod.PRE_SHARED_KEY,),
) -> IkeChoice:
    """Return the best of a phase-1 offer, by method first, of which only `methods` are taken.

    Raises NotifyError (NO-PROPOSAL-CHOSEN).
    """
    best: tuple[tuple[int, int], IkeChoice] | None = None
    seen = []
    for proposal, transform in _transforms(sa, ProtocolId.ISAKMP):
        offer = read_ike_offer(transform)
        seen.append(offer)
        suite_rank = policy.ike_rank(offer)
        if offer is None or suite_rank is None or offer.method not in methods:
            continue
        rank = METHODS.index(offer.method), suite_rank
        if best is None or rank < best[0]:
            best = rank, IkeChoice(proposal, transform, offer)
    if best is None:
        raise _no_proposal_chosen(seen, policy, _ike_hint(seen, policy, methods))
    return best[1]


def choose_esp(
    sa: SecurityAssociation, policy: Policy, modes: Sequence[EncapsulationMode]
) -> EspChoice:
    """Return the best of a phase-2 offer, by mode first. Raises NotifyError.

    Proposals that share a number are meant together (RFC 2408 section 4.2): ESP with
    something else is not for us.
    """
    numbers = Counter(proposal.number for proposal in sa.proposals)
    best: tuple[tuple[int, int], EspChoice] | None = None
    seen = []
    for proposal, transform in _transforms(sa, ProtocolId.ESP):
        offer = read_esp_offer(transform)
        seen.append(offer)
        if offer is None or numbers[proposal.number] > 1:
            continue
        if len(proposal.spi) != SPI_LENGTH or not any(proposal.spi):
            continue
        algorithm_rank = policy.esp_rank(offer)
        if offer.mode not in modes or algorithm_rank is None:
            continue
        rank = modes.index(offer.mode), algorithm_rank
        if best is None or rank < best[0]:
            best = rank, EspChoice(proposal, transform, offer)
    if best is None:
        raise _no_proposal_chosen(seen, policy, _esp_hint(seen, policy, modes))
    return best[1]


def offered_ike(sa: SecurityAssociation) -> tuple[IkeOffer | None, ...]:
    """Return the first MAX_OFFERS transforms of a phase-1 offer, None for what is not known.

    Raises NotifyError where one attribute has two values; so does the other one.
    """
    transforms = islice(_transforms(sa, ProtocolId.ISAKMP), MAX_OFFERS)
    return tuple(read_ike_offer(transform) for _, transform in transforms)


def offered_esp(sa: SecurityAssociation) -> tuple[EspOffer | None, ...]:
    """Return the first MAX_OFFERS transforms of a phase-2 offer, None for what is not known."""
    transforms = islice(_transforms(sa, ProtocolId.ESP), MAX_OFFERS)
    return tuple(read_esp_offer(transform) for _, transform in transforms)


def _transforms(
    sa: SecurityAssociation, protocol: ProtocolId
) -> Iterator[tuple[Proposal, Transform]]:
    for proposal in sa.proposals:
        if proposal.protocol == protocol:
            for transform in proposal.transforms:
                yield proposal, transform


def _no_proposal_chosen(
    seen: Sequence[IkeOffer | EspOffer | None], policy: Policy, hint: str
) -> NotifyError:
    names = [str(offer or "something unknown") for offer in seen[:MAX_OFFERS_NAMED]]
    more = f" and {len(seen) - MAX_OFFERS_NAMED} more" if len(seen) > MAX_OFFERS_NAMED else ""
    offered = ", ".join(names) or "nothing"
    why = f"nothing offered is among the proposals {policy.name!r}; offered: {offered}{more}"
    return NotifyError(NotifyType.NO_PROPOSAL_CHOSEN, why, hint)


def _ike_hint(
    seen: Sequence[IkeOffer | None], policy: Policy, methods: Collection[AuthenticationMethod]
) -> str:
    offers = [offer for offer in seen if offer is not None]
    if all(offer.method not in methods for offer in offers):
        if AuthenticationMethod.PRE_SHARED_KEY in methods:
            return "choose a pre-shared key on the client, or set ipsec.certificate on the server"
        return "choose a certificate on the client, or set ipsec.psk_file on the server"
    for other in POLICIES.values():
        if any(offer.suite in other.ike_ranks for offer in offers):
            return f"the proposals {other.name!r} would accept this client"
    return f"the client must offer one of: {', '.join(str(suite) for suite in policy.ike[:6])}"


def _esp_hint(
    seen: Sequence[EspOffer | None], policy: Policy, modes: Sequence[EncapsulationMode]
) -> str:
    offers = [offer for offer in seen if offer is not None and offer.mode in modes]
    if not offers:
        return f"encapsulation here must be {' or '.join(str(mode) for mode in modes)}"
    if any(offer.algorithms in policy.esp_ranks for offer in offers):
        groups = ", ".join(sorted(str(group) for group in policy.groups))
        return f"perfect forward secrecy must be off on the client, or use one of: {groups}"
    for other in POLICIES.values():
        if any(offer.algorithms in other.esp_ranks for offer in offers):
            return f"the proposals {other.name!r} would accept this client"
    return f"the client must offer one of: {', '.join(map(describe, policy.esp[:6]))}"


def _suites(
    groups: Sequence[GroupDescription],
    ciphers: Sequence[tuple[EncryptionAlgorithm, int]],
    hashes: Sequence[HashAlgorithm],
) -> tuple[IkeSuite, ...]:
    return tuple(
        IkeSuite(cipher, key_bits, hash_algorithm, group)
        for group, (cipher, key_bits), hash_algorithm in product(groups, ciphers, hashes)
    )


_AES: Final = tuple((EncryptionAlgorithm.AES_CBC, bits) for bits in (256, 192, 128))
_3DES: Final = (EncryptionAlgorithm.TRIPLE_DES_CBC, 0)
_SHA2: Final = (HashAlgorithm.SHA2_256, HashAlgorithm.SHA2_384, HashAlgorithm.SHA2_512)
_STRONG_GROUPS: Final = (
    GroupDescription.ECP_384,
    GroupDescription.ECP_256,
    GroupDescription.ECP_521,
    GroupDescription.MODP_2048,
    GroupDescription.MODP_3072,
    GroupDescription.MODP_4096,
)
_GCM: Final = tuple(EspAlgorithms(EspTransform.AES_GCM_16, bits) for bits in (256, 192, 128))
_AES_SHA1, _AES_SHA512, _AES_SHA384, _AES_SHA256, _AES_MD5 = (
    tuple(EspAlgorithms(EspTransform.AES_CBC, bits, authentication) for bits in (256, 192, 128))
    for authentication in (
        AuthenticationAlgorithm.HMAC_SHA1,
        AuthenticationAlgorithm.HMAC_SHA2_512,
        AuthenticationAlgorithm.HMAC_SHA2_384,
        AuthenticationAlgorithm.HMAC_SHA2_256,
        AuthenticationAlgorithm.HMAC_MD5,
    )
)
_3DES_SHA1, _3DES_MD5 = (
    EspAlgorithms(EspTransform.TRIPLE_DES, 0, authentication)
    for authentication in (AuthenticationAlgorithm.HMAC_SHA1, AuthenticationAlgorithm.HMAC_MD5)
)
_AES_SHA2: Final = _AES_SHA256 + _AES_SHA384 + _AES_SHA512

STRICT: Final = Policy("strict", _suites(_STRONG_GROUPS, _AES, _SHA2), _GCM + _AES_SHA2)
"""Nothing that RFC 8247 and RFC 8221 advise against. Not for Windows as it comes: that has
SHA-1 alone."""

DEFAULT: Final = Policy(
    "default",
    _suites(
        (*_STRONG_GROUPS, GroupDescription.MODP_1536),
        (*_AES, _3DES),
        (*_SHA2, HashAlgorithm.SHA1),
    ),
    (*_GCM, *_AES_SHA2, *_AES_SHA1, _3DES_SHA1),
)
"""What Windows, macOS, iOS, ChromeOS and Linux have in common with good practice."""

LEGACY: Final = Policy(
    "legacy",
    DEFAULT.ike
    + _suites((*_STRONG_GROUPS, GroupDescription.MODP_1536), (*_AES, _3DES), (HashAlgorithm.MD5,))
    + _suites(
        (GroupDescription.MODP_1024,),
        (*_AES, _3DES),
        (*_SHA2, HashAlgorithm.SHA1, HashAlgorithm.MD5),
    ),
    (*DEFAULT.esp, *_AES_MD5, _3DES_MD5),
)
"""Also MODP-1024 and MD5, which Android before 13, Windows XP and old routers need."""

LAB: Final = Policy(
    "lab",
    LEGACY.ike,
    (
        *LEGACY.esp,
        *(
            EspAlgorithms(transform, 0, authentication)
            for transform in (EspTransform.DES, EspTransform.NULL)
            for authentication in (
                AuthenticationAlgorithm.HMAC_SHA1,
                AuthenticationAlgorithm.HMAC_MD5,
            )
        ),
    ),
)
"""Also DES and no encryption at all, which RFC 3193 section 2.1 once demanded: to test clients."""

POLICIES: Final = {policy.name: policy for policy in (STRICT, DEFAULT, LEGACY)}
"""What there is for real clients, the strictest first: no hint ever names `lab`."""
