"""Quick Mode: three messages that agree on a pair of ESP SAs, both roles.

How this works (RFC 2409 section 5.5, RFC 3947 section 5):

    initiator                                     responder
    1  {HASH(1), SA, Ni [, KE], IDci, IDcr
        [, NAT-OAi, NAT-OAr]}              -->    offers with the initiator's SPI
                                           <--  2  {HASH(2), SA, Nr [, KE], IDci, IDcr
                                                    [, NAT-OAi, NAT-OAr]}
    3  {HASH(3)}                           -->

All is encrypted. KE makes keys that do not follow from Main Mode's (perfect forward secrecy).
The client identifiers say for which traffic the SAs are: here UDP from and to port 1701 of the
L2TP server, between whatever addresses the peer believes in. We return them as they came.

The initiator has both SAs when it has message 2 and sends ESP from then on, so that the
responder has its inbound SA from message 2 on. Until message 3 or a packet on that SA shows
that the initiator has got message 2, the responder sends message 2 again, and no ESP.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Final

from ipsec import keymat, natt, responder_lifetime
from ipsec.config import IkeConfig
from ipsec.constants import (
    IKE_PORT,
    L2TP_PORT,
    PROTOCOL_UDP,
    EncapsulationMode,
    ExchangeType,
    LifeType,
    NotifyType,
    PayloadType,
    ProtocolId,
)
from ipsec.errors import Drop, DropError, NotifyError
from ipsec.esp import InboundSa, OutboundSa
from ipsec.exchange import Incoming, LastMessages
from ipsec.groups import KeyAgreement
from ipsec.isakmp_sa import IsakmpSa
from ipsec.message import Payload, Payloads
from ipsec.offers import EspOffer, esp_transform, read_esp_offer
from ipsec.path import Path
from ipsec.payloads import Identification, read_notifications
from ipsec.phase1_keys import NONCE_LENGTH, read_nonce, shared_secret
from ipsec.policy import SPI_LENGTH, choose_esp, offered_esp
from ipsec.proposals import Proposal, SecurityAssociation
from ipsec.protection import hashed, verify_hash
from ipsec.sa_pair import KeySource, SaPair
from wire import DecodeError, Entropy, Reader

DEFAULT_LIFETIME: Final = 28800
"""Seconds, where the initiator names none (RFC 2407 section 4.5)."""

UDP_MODES: Final = (EncapsulationMode.UDP_TRANSPORT, EncapsulationMode.UDP_TRANSPORT_DRAFT)


class State(Enum):
    """What we sent last."""

    START = "nothing"
    OFFERED = "message 1"
    ANSWERED = "message 2"
    ESTABLISHED = "the last message"
    FAILED = "a refusal"


class Received(Enum):
    """Messages by what they carry."""

    SA = "SA"
    HASH = "HASH alone"


class QuickMode:
    """One quick mode under `sa`. There is a `pair` from ANSWERED or ESTABLISHED on.

    `offered` and `chosen` are what the peer's message 1 was about.
    Nothing in a message is looked at before its HASH was found to be right.
    """

    __slots__ = (
        "_config",
        "_entropy",
        "_identities",
        "_iv",
        "_key_agreement",
        "_ni",
        "_nr",
        "_offered",
        "_spi",
        "chosen",
        "initiator",
        "last",
        "message_id",
        "offered",
        "pair",
        "sa",
        "state",
    )

    def __init__(
        self, sa: IsakmpSa, config: IkeConfig, entropy: Entropy, message_id: int, spi: int
    ) -> None:
        """`spi` is for our inbound SA."""
        self._config = config
        self._entropy = entropy
        self._spi = spi
        self._iv = sa.protection.phase2_iv(sa.last_block, message_id)
        self._ni = self._nr = b""
        self._key_agreement: KeyAgreement | None = None
        self._offered: list[EspOffer | None] = []
        self._identities: list[bytes] = []
        self.sa = sa
        self.message_id = message_id
        self.initiator = False
        self.state = State.START
        self.last = LastMessages()
        self.pair: SaPair | None = None
        self.offered: tuple[EspOffer | None, ...] = ()
        self.chosen: EspOffer | None = None

    def start(
        self,
        path: Path,
        ours: Identification,
        theirs: Identification,
        offers: Sequence[EspOffer] = (),
    ) -> bytes:
        """Return message 1, for traffic between these two; `offers` stand in for our usual ones.

        All of them have the same group.
        """
        offers = offers or self._usual_offers()
        group = offers[0].group
        self.initiator = True
        self._ni = self._entropy(NONCE_LENGTH)
        self._identities = [ours.build(), theirs.build()]
        payloads = [
            Payload(PayloadType.SA, self._propose(offers).build()),
            Payload(PayloadType.NONCE, self._ni),
        ]
        if group is not None:
            self._key_agreement = KeyAgreement.generate(group, self._entropy)
            payloads.append(Payload(PayloadType.KE, self._key_agreement.public))
        payloads += [Payload(PayloadType.ID, identity) for identity in self._identities]
        variant = self.sa.extensions.natt
        if variant is not None and self.sa.nat.found:
            payloads += natt.nat_oa_payloads(variant, path.local.host, path.peer.host)
        self.state = State.OFFERED
        return self._seal(payloads, self._hash_1)

    def receive(self, message: Incoming) -> bytes | None:
        """Take a message of the peer and return the answer, if there is one.

        Raises DecodeError for what is not genuine, which has changed nothing, and NotifyError
        where the peer proved to be itself and yet nothing can be agreed; then it is over.
        """
        payloads, iv = self.sa.protection.open(message.header, message.body, self._iv)
        received = Received.SA if payloads.all(PayloadType.SA) else Received.HASH
        transition = TRANSITIONS.get((self.state, received))
        if transition is None:
            raise DropError(Drop.UNEXPECTED)
        compute_hash, handle, next_state = transition
        verify_hash(payloads, compute_hash(self, payloads.after_hash()))
        self._iv = iv
        self.state = State.FAILED
        try:
            answer = handle(self, payloads, message.path)
        except DecodeError as error:
            raise NotifyError(NotifyType.PAYLOAD_MALFORMED, str(error)) from error
        self.state = next_state
        return answer

    # Messages 1 and 2.

    def _answer(self, payloads: Payloads, path: Path) -> bytes:
        self._ni = read_nonce(payloads)
        offered = SecurityAssociation.parse(Reader(payloads.the(PayloadType.SA)))
        self.offered = offered_esp(offered)
        choice = choose_esp(offered, self._config.policy, self._modes(path))
        self.chosen = offer = choice.offer
        theirs, ours = self._read_identities(payloads, path)
        self._nr = self._entropy(NONCE_LENGTH)
        answer = [
            Payload(PayloadType.SA, choice.answer(self._spi).build()),
            Payload(PayloadType.NONCE, self._nr),
        ]
        g_xy = b""
        if offer.group is not None:
            key_agreement = KeyAgreement.generate(offer.group, self._entropy)
            g_xy = shared_secret(key_agreement, payloads.the(PayloadType.KE))
            answer.append(Payload(PayloadType.KE, key_agreement.public))
        answer += [Payload(PayloadType.ID, identity) for identity in self._identities]
        variant, original_address = self.sa.extensions.natt, None
        addresses = self._original_addresses(payloads, offer)
        if variant is not None and addresses is not None:
            original_address = addresses[0]
            answer += natt.nat_oa_payloads(variant, path.peer.host, path.local.host)
        self.pair = self._make_pair(choice.spi, offer, g_xy, ours, theirs, original_address)
        answer += self._responder_lifetime(offer, self.pair)
        return self._seal(answer, self._hash_2)

    def _conclude(self, payloads: Payloads, path: Path) -> bytes:
        self._nr = read_nonce(payloads)
        spi, offer = self._chosen_by_peer(payloads.the(PayloadType.SA))
        returned = payloads.all(PayloadType.ID)
        # Behind NAT some responders return the addresses as they see them.
        if returned and returned != self._identities and not self.sa.nat.found:
            raise NotifyError(NotifyType.INVALID_ID_INFORMATION, "client identifiers differ")
        g_xy = b""
        if self._key_agreement is not None:
            g_xy = shared_secret(self._key_agreement, payloads.the(PayloadType.KE))
        ours, theirs = (Identification.parse(Reader(body)) for body in self._identities)
        addresses = self._original_addresses(payloads, offer)
        original_address = None if addresses is None else addresses[1]
        for notification in read_notifications(payloads.all(PayloadType.NOTIFY)):
            offer = _shorten(offer, responder_lifetime.read(notification, ProtocolId.ESP))
        self.pair = self._make_pair(spi, offer, g_xy, ours, theirs, original_address)
        return self._seal([], self._hash_3)

    def _confirm(self, payloads: Payloads, path: Path) -> None:
        """Take message 3, which has nothing but its hash."""

    # What they are made of.

    def _usual_offers(self) -> list[EspOffer]:
        variant, mode = self.sa.extensions.natt, EncapsulationMode.TRANSPORT
        if variant is not None and self.sa.nat.found:
            mode = variant.udp_transport
        config = self._config
        lifetimes = config.esp_lifetime, config.esp_kilobytes
        return [
            EspOffer(algorithms, mode, config.pfs_group, *lifetimes)
            for algorithms in config.esp_offers
        ]

    def _propose(self, offers: Sequence[EspOffer]) -> SecurityAssociation:
        proposals = []
        for number, offer in enumerate(offers, 1):
            transform = esp_transform(1, offer)
            self._offered.append(read_esp_offer(transform))
            proposals.append(Proposal(number, ProtocolId.ESP, _octets(self._spi), (transform,)))
        return SecurityAssociation(tuple(proposals))

    def _chosen_by_peer(self, sa_body: bytes) -> tuple[int, EspOffer]:
        """Return the responder's SPI and what it chose, which must be an offer of ours."""
        proposals = SecurityAssociation.parse(Reader(sa_body)).proposals
        if len(proposals) == 1 and len(proposals[0].transforms) == 1:
            spi, offer = proposals[0].spi, read_esp_offer(proposals[0].transforms[0])
            if offer is not None and offer in self._offered and len(spi) == SPI_LENGTH:
                return int.from_bytes(spi, "big"), offer
        raise NotifyError(NotifyType.BAD_PROPOSAL_SYNTAX, "the answer is not one of our offers")

    def _modes(self, path: Path) -> tuple[EncapsulationMode, ...]:
        """Return the modes that we take, best first.

        UDP encapsulation needs NAT traversal and a port that is not 500 (RFC 3948 section 2.1).
        A draft's number is taken from a peer that speaks the RFC, and the other way round.
        """
        if self.sa.extensions.natt is None or path.local.port == IKE_PORT:
            return (EncapsulationMode.TRANSPORT,)
        if self.sa.nat.found:
            return (*UDP_MODES, EncapsulationMode.TRANSPORT)
        return (EncapsulationMode.TRANSPORT, *UDP_MODES)

    def _read_identities(
        self, payloads: Payloads, path: Path
    ) -> tuple[Identification, Identification]:
        """Return the client identifiers of the initiator and ours; see RFC 3193 section 4.

        Without any, the SAs are for all traffic between the two hosts (RFC 2409 section 5.5).
        Whether an address in them is anybody's own does not matter: NAT changes them all.
        """
        self._identities = payloads.all(PayloadType.ID)
        if not self._identities:
            hosts = path.peer.host, path.local.host
            theirs, ours = (Identification.of_address(host) for host in hosts)
            return theirs, ours
        if len(self._identities) != 2:
            raise DecodeError(f"{len(self._identities)} client identifiers")
        theirs, ours = (Identification.parse(Reader(body)) for body in self._identities)
        protocols = {theirs.protocol, ours.protocol}
        ports = 0, L2TP_PORT, self._config.l2tp_port
        if not protocols <= {0, PROTOCOL_UDP} or ours.port not in ports:
            raise NotifyError(
                NotifyType.INVALID_ID_INFORMATION,
                f"SAs for {theirs} and {ours} are wanted, which is not L2TP",
                f"the client must ask for UDP port {L2TP_PORT} of the server",
            )
        return theirs, ours

    def _original_addresses(self, payloads: Payloads, offer: EspOffer) -> tuple[str, str] | None:
        """Return what initiator and responder are called before NAT, if the peer says so."""
        variant = self.sa.extensions.natt
        if variant is None or offer.mode not in UDP_MODES:
            return None
        return natt.read_nat_oa(variant, payloads)

    def _make_pair(
        self,
        spi: int,
        offer: EspOffer,
        g_xy: bytes,
        ours: Identification,
        theirs: Identification,
        original_address: str | None,
    ) -> SaPair:
        source = KeySource(self.sa, offer.algorithms, self._ni, self._nr, g_xy)
        window = self._config.replay_window
        come, go = source.keys(self._spi), source.keys(spi)
        seconds = min(offer.seconds or DEFAULT_LIFETIME, self._config.esp_lifetime)
        kilobytes = _least(offer.kilobytes, self._config.esp_kilobytes)
        return SaPair(
            self.sa,
            self.initiator,
            replace(offer, seconds=seconds, kilobytes=kilobytes),
            InboundSa(self._spi, come.algorithms, come.encryption, come.authentication, window),
            OutboundSa(spi, go.algorithms, go.encryption, go.authentication, self._entropy),
            offer.mode in UDP_MODES,
            ours,
            theirs,
            original_address,
            seconds,
            kilobytes,
            (come, go),
        )

    @staticmethod
    def _responder_lifetime(offer: EspOffer, pair: SaPair) -> list[Payload]:
        """Tell the initiator where our lifetime is shorter than its own."""
        seconds = LifeType.SECONDS, offer.seconds or DEFAULT_LIFETIME, pair.seconds
        kilobytes = LifeType.KILOBYTES, offer.kilobytes, pair.kilobytes
        return responder_lifetime.tell(ProtocolId.ESP, _octets(pair.spi), [seconds, kilobytes])

    # HASH(1), HASH(2), HASH(3), and sending.

    def _hash_1(self, octets: bytes) -> bytes:
        keys = self.sa.protection
        return keymat.quick_hash_1(keys.hash, keys.skeyid.a, self.message_id, octets)

    def _hash_2(self, octets: bytes) -> bytes:
        keys = self.sa.protection
        return keymat.quick_hash_2(keys.hash, keys.skeyid.a, self.message_id, self._ni, octets)

    def _hash_3(self, octets: bytes) -> bytes:
        keys = self.sa.protection
        return keymat.quick_hash_3(keys.hash, keys.skeyid.a, self.message_id, self._ni, self._nr)

    def _seal(self, items: list[Payload], compute_hash: Callable[[bytes], bytes]) -> bytes:
        payloads = Payloads.of(items)
        message, self._iv = self.sa.protection.seal(
            ExchangeType.QUICK_MODE,
            self.message_id,
            hashed(compute_hash(payloads.octets), payloads),
            self._iv,
        )
        return message


Handler = Callable[[QuickMode, Payloads, Path], bytes | None]

TRANSITIONS: Final[
    dict[
        tuple[State, Received],
        tuple[Callable[[QuickMode, bytes], bytes], Handler, State],
    ]
] = {
    # Responder.
    (State.START, Received.SA): (QuickMode._hash_1, QuickMode._answer, State.ANSWERED),
    (State.ANSWERED, Received.HASH): (QuickMode._hash_3, QuickMode._confirm, State.ESTABLISHED),
    # Initiator.
    (State.OFFERED, Received.SA): (QuickMode._hash_2, QuickMode._conclude, State.ESTABLISHED),
}
"""Which HASH a message must have, what is done with it, and where that leads. What is not here
is dropped: late, repeated or none of our business."""


def _shorten(offer: EspOffer, lifetimes: dict[int, int]) -> EspOffer:
    """Return an offer of ours with the lifetimes that the responder told (RFC 2407 4.6.3.1)."""
    return replace(
        offer,
        seconds=_least(offer.seconds, lifetimes.get(LifeType.SECONDS)),
        kilobytes=_least(offer.kilobytes, lifetimes.get(LifeType.KILOBYTES)),
    )


def _octets(spi: int) -> bytes:
    return spi.to_bytes(SPI_LENGTH, "big")


def _least(first: int | None, second: int | None) -> int | None:
    """Return the lesser lifetime; None or 0 is for ever."""
    amounts = [amount for amount in (first, second) if amount]
    return min(amounts, default=None)
