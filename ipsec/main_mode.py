"""Main Mode: six messages, both roles.

How this works (RFC 2409 sections 5, 5.1 and 5.4, RFC 3947 section 3.2):

    initiator                            responder
    1  SA, VID...                 -->                              algorithms are offered
                                  <--  2  SA, VID...               and chosen
    3  KE, Ni, NAT-D, NAT-D       -->                              keys are agreed,
                                  <--  4  KE, Nr, NAT-D, NAT-D     NAT is found
    5  {ID, HASH_I}               -->                              identities are proven
                                  <--  6  {ID, HASH_R}

With signatures (authentication.py) CERTREQ payloads follow the nonces, and CERT and SIG payloads
take the place of HASH. {} is encrypted. A responder keeps little after message 1, computes
Diffie-Hellman when it has message 3 and the keys when it has message 5, which is also when a
wrong pre-shared key shows: the message decrypts to nonsense. An initiator that found NAT sends
message 5 to port 4500 and stays there (RFC 3947 section 4).
"""

from collections.abc import Callable, Sequence
from enum import Enum
from itertools import product
from typing import ClassVar, Final, TypeVar

from ipsec import authentication, natt, vendor
from ipsec.authentication import Authentication
from ipsec.checks import known
from ipsec.config import IkeConfig
from ipsec.constants import (
    IKE_PORT,
    AuthenticationMethod,
    ExchangeType,
    Flags,
    NotifyType,
    PayloadType,
    ProtocolId,
)
from ipsec.errors import Drop, DropError, NotifyError
from ipsec.events import Negotiation
from ipsec.exchange import Incoming, LastMessages
from ipsec.groups import KeyAgreement
from ipsec.message import COOKIE_LENGTH, NO_COOKIE, Cookies, Payload, Payloads, build_message
from ipsec.natt import NO_NAT, Nat
from ipsec.offers import IkeOffer, IkeSuite, ike_transform, read_ike_offer
from ipsec.path import Path
from ipsec.payloads import Identification, Notification, read_notifications
from ipsec.phase1_keys import NONCE_LENGTH, KeyExchange, Phase1Keys, read_nonce, shared_secret
from ipsec.policy import choose_ike, offered_ike
from ipsec.proposals import Proposal, SecurityAssociation
from wire import DecodeError, Entropy, Reader

MAX_FAILURES: Final = 3
"""So many wrong proofs end a main mode: each is a guess at the pre-shared key."""


class State(Enum):
    """What we sent last."""

    START = "nothing"
    SA_SENT = "message 1"
    SA_ANSWERED = "message 2"
    KE_SENT = "message 3"
    KE_ANSWERED = "message 4"
    ID_SENT = "message 5"
    ESTABLISHED = "the last message"


class Received(Enum):
    """Messages by what they carry."""

    SA = "SA"
    KE = "KE"
    ID = "ID"
    HASH = "HASH in clear"


class MainMode:
    """One main mode. When `state` is ESTABLISHED it has all that an ISAKMP SA begins with.

    `first` is what tells first messages apart: the initiator's cookie, and the address that it
    was sent from or to. `path` is where the peer was last; `identity` is what it proved to be;
    `iv` is the last cipher block of the last message, from which the IVs of phase 2 follow.
    `began` is when message 1 came; `failures` counts wrong proofs; `rumour` is what may explain
    a failure, if anything came. `key` names the pre-shared key in use.
    """

    exchange: ClassVar[ExchangeType] = ExchangeType.IDENTITY_PROTECTION

    __slots__ = (
        "_agreement",
        "_authentication",
        "_config",
        "_entropy",
        "_exchange",
        "_keys",
        "_nonce",
        "_sai_b",
        "began",
        "cookies",
        "extensions",
        "failures",
        "first",
        "identity",
        "initial_contact",
        "initiator",
        "iv",
        "key",
        "last",
        "nat",
        "offer",
        "path",
        "rumour",
        "state",
    )

    def __init__(
        self, config: IkeConfig, entropy: Entropy, initiator: bool, cookie: bytes, path: Path
    ) -> None:
        """`cookie` is the initiator's, `path` the one of message 1."""
        self._config = config
        self._entropy = entropy
        self.initiator = initiator
        self.path = path
        self.began = 0.0
        self.state = State.START
        self.first = cookie, path.peer
        self.cookies = Cookies(cookie, NO_COOKIE)
        self.extensions = vendor.read([])
        self.offer: IkeOffer | None = None
        self.nat = NO_NAT
        self.identity: Identification | None = None
        self.initial_contact = False
        self.iv = b""
        self.key = ""
        self.failures = 0
        self.rumour = ""
        self.last = LastMessages()
        self._sai_b = b""
        self._agreement: KeyAgreement | None = None
        self._authentication: Authentication | None = None
        self._nonce = b""
        self._exchange: KeyExchange | None = None
        self._keys: Phase1Keys | None = None

    @property
    def suite(self) -> IkeSuite:
        """The algorithms that were chosen."""
        return known(self.offer).suite

    @property
    def keys(self) -> Phase1Keys:
        """The keys; there are some from the first encrypted message on."""
        return known(self._keys)

    @property
    def negotiation(self) -> Negotiation:
        """What a main mode that the peer began is about."""
        try:
            offered = offered_ike(SecurityAssociation.parse(Reader(self._sai_b)))
        except (DecodeError, NotifyError):
            offered = ()
        return Negotiation(
            self.cookies.initiator,
            self.began,
            self.extensions.client,
            offered,
            self.offer,
            self.nat,
            heard=self._exchange is not None,
        )

    def start(self, initial_contact: bool) -> bytes:
        """Return message 1. With `initial_contact`, message 5 will say that we have no SAs."""
        self.initial_contact = initial_contact
        methods = authentication.methods(self._config, self.path.peer.host)
        self.state = State.SA_SENT
        return self._clear(
            [self._offer(methods, self._config.ike_offers), *vendor_ids(vendor.offer())]
        )

    def receive(self, message: Incoming) -> bytes | None:
        """Take a message of the peer and return the answer, if there is one.

        Raises DecodeError for what is best dropped in silence, and NotifyError for what the
        peer should hear of. Either way the main mode stays where it was.
        """
        if message.header.flags & Flags.ENCRYPTION:
            received = Received.ID
        else:
            message = message._replace(payloads=Payloads.parse(message.header.first, message.body))
            received = _recognise(message.payloads)
        return self._step(received, message)

    def _step(self, received: Received, message: Incoming) -> bytes | None:
        return step(self, TRANSITIONS, received, message)

    # Messages 1 and 2.

    def _answer_sa(self, message: Incoming) -> bytes:
        self.extensions = vendor.read(message.payloads.all(PayloadType.VENDOR))
        self._sai_b = message.payloads.the(PayloadType.SA)
        methods = authentication.methods(self._config, message.path.peer.host)
        offered = SecurityAssociation.parse(Reader(self._sai_b))
        choice = choose_ike(offered, self._config.policy, methods)
        self.cookies = Cookies(self.cookies.initiator, self._entropy(COOKIE_LENGTH))
        self.offer = choice.offer
        answer = Payload(PayloadType.SA, choice.answer().build())
        return self._clear([answer, *vendor_ids(vendor.answer(self.extensions))])

    def _send_ke(self, message: Incoming) -> bytes:
        self.offer = self._chosen_by_peer(message.payloads.the(PayloadType.SA))
        self.extensions = vendor.read(message.payloads.all(PayloadType.VENDOR))
        self.cookies = message.header.cookies
        self._agreement = KeyAgreement.generate(self.suite.group, self._entropy)
        self._nonce = self._entropy(NONCE_LENGTH)
        return self._key_exchange_message(self._agreement.public)

    def _offer(
        self, methods: Sequence[AuthenticationMethod], suites: Sequence[IkeSuite]
    ) -> Payload:
        """Return the SA payload of message 1."""
        transforms = tuple(
            ike_transform(number, suite, self._config.ike_lifetime, method)
            for number, (method, suite) in enumerate(product(methods, suites), 1)
        )
        proposal = Proposal(1, ProtocolId.ISAKMP, b"", transforms)
        self._sai_b = SecurityAssociation((proposal,)).build()
        return Payload(PayloadType.SA, self._sai_b)

    def _chosen_by_peer(self, sa_body: bytes) -> IkeOffer:
        """Return what the responder chose, which must be one transform of ours."""
        proposals = SecurityAssociation.parse(Reader(sa_body)).proposals
        ours = SecurityAssociation.parse(Reader(self._sai_b)).proposals[0].transforms
        if len(proposals) == 1 and len(proposals[0].transforms) == 1:
            chosen = read_ike_offer(proposals[0].transforms[0])
            if chosen is not None and chosen in map(read_ike_offer, ours):
                return chosen
        raise NotifyError(NotifyType.BAD_PROPOSAL_SYNTAX, "the answer is not one of our offers")

    # Messages 3 and 4.

    def _answer_ke(self, message: Incoming) -> bytes:
        g_xi, ni = message.payloads.the(PayloadType.KE), read_nonce(message.payloads)
        agreement = KeyAgreement.generate(self.suite.group, self._entropy)
        g_xy = shared_secret(agreement, g_xi)
        self._nonce = self._entropy(NONCE_LENGTH)
        self._exchange = KeyExchange(g_xi, agreement.public, ni, self._nonce, g_xy)
        self.path = message.path
        self._find_nat(message)
        return self._key_exchange_message(agreement.public)

    def _send_id(self, message: Incoming) -> bytes:
        g_xr, nr = message.payloads.the(PayloadType.KE), read_nonce(message.payloads)
        agreement = known(self._agreement)
        g_xy = shared_secret(agreement, g_xr)
        self._exchange = KeyExchange(agreement.public, g_xr, self._nonce, nr, g_xy)
        self._find_nat(message)
        if self.nat.found and self.path.local.port == IKE_PORT:
            self.path = natt.float_ports(self.path)
        self._derive(self._candidates(self.path)[0])
        return self._encrypted(self._identity_payloads() + self._contact_payloads())

    def _key_exchange_message(self, public: bytes) -> bytes:
        payloads = [Payload(PayloadType.KE, public), Payload(PayloadType.NONCE, self._nonce)]
        payloads += authentication.requests(known(self.offer).method, self._config)
        return self._clear(payloads + self._nat_d_payloads())

    def _nat_d_payloads(self) -> list[Payload]:
        variant, hidden = self.extensions.natt, None
        if variant is None:
            return []
        if self._config.force_encapsulation:
            hidden = self.path.local if self.initiator else self.path.peer
        return natt.nat_d_payloads(variant, self.suite.hash, self.cookies, self.path, hidden)

    def _find_nat(self, message: Incoming) -> None:
        variant = self.extensions.natt
        if variant is not None:
            found = natt.detect(
                variant, self.suite.hash, self.cookies, message.path, message.payloads
            )
            forced = self._config.force_encapsulation
            self.nat = Nat(
                peer=found.peer or (forced and not self.initiator),
                ours=found.ours or (forced and self.initiator),
            )

    # Messages 5 and 6.

    def _answer_id(self, message: Incoming) -> bytes:
        candidates = self._candidates(message.path)
        faults: list[NotifyError] = []
        for candidate in candidates:
            self._derive(candidate)
            try:
                payloads = self._read_identity(message)
            except NotifyError as error:
                faults.append(error)
                continue
            self.initial_contact = says_initial_contact(payloads)
            self.path = message.path
            return self._encrypted(self._identity_payloads())
        self.failures += 1
        raise _fault_of(candidates, faults)

    def _conclude(self, message: Incoming) -> None:
        self._read_identity(message)

    def _candidates(self, path: Path) -> list[Authentication]:
        method, host = known(self.offer).method, path.peer.host
        return authentication.candidates(method, self._config, host, self.initiator)

    def _derive(self, candidate: Authentication) -> None:
        self._authentication = candidate
        self._keys = Phase1Keys(self.suite, self.cookies, known(self._exchange), candidate.psk)
        self.iv, self.key = self._keys.first_iv, candidate.name

    def _identity_payloads(self) -> list[Payload]:
        how = known(self._authentication)
        id_b = (self._config.identity or how.identity(self.path.local.host)).build()
        digest = self.keys.proof(self.initiator, self._sai_b, id_b)
        return [Payload(PayloadType.ID, id_b), *how.prove(digest)]

    def _contact_payloads(self) -> list[Payload]:
        """Return INITIAL-CONTACT, if it is to be said."""
        if not self.initial_contact:
            return []
        spi = b"".join(self.cookies)
        notification = Notification(NotifyType.INITIAL_CONTACT, ProtocolId.ISAKMP, spi)
        return [Payload(PayloadType.NOTIFY, notification.build())]

    def _read_identity(self, message: Incoming) -> Payloads:
        """Take the peer's identity, if it is proven. Raises NotifyError."""
        how = known(self._authentication)
        try:
            payloads, iv = self.keys.protection.open(message.header, message.body, self.iv)
            id_b = payloads.the(PayloadType.ID)
            digest = self.keys.proof(not self.initiator, self._sai_b, id_b)
            self.identity = how.verify(digest, id_b, payloads)
        except DecodeError as error:
            raise how.undecipherable() from error
        self.iv = iv
        return payloads

    # Sending.

    def _clear(self, payloads: Sequence[Payload]) -> bytes:
        return build_message(self.cookies, self.exchange, Payloads.of(payloads))

    def _encrypted(self, payloads: Sequence[Payload]) -> bytes:
        message, self.iv = self.keys.protection.seal(
            self.exchange, 0, Payloads.of(payloads), self.iv
        )
        return message


Mode = TypeVar("Mode", bound=MainMode)
Transitions = dict[tuple[State, Received], tuple[Callable[[Mode, Incoming], bytes | None], State]]

TRANSITIONS: Final[Transitions[MainMode]] = {
    # Responder.
    (State.START, Received.SA): (MainMode._answer_sa, State.SA_ANSWERED),
    (State.SA_ANSWERED, Received.KE): (MainMode._answer_ke, State.KE_ANSWERED),
    (State.KE_ANSWERED, Received.ID): (MainMode._answer_id, State.ESTABLISHED),
    # Initiator.
    (State.SA_SENT, Received.SA): (MainMode._send_ke, State.KE_SENT),
    (State.KE_SENT, Received.KE): (MainMode._send_id, State.ID_SENT),
    (State.ID_SENT, Received.ID): (MainMode._conclude, State.ESTABLISHED),
}
"""What is not here is dropped: late, repeated or none of our business."""


def step(
    mode: Mode, transitions: Transitions[Mode], received: Received, message: Incoming
) -> bytes | None:
    """Do what a table says; raises what `MainMode.receive` does."""
    transition = transitions.get((mode.state, received))
    if transition is None:
        raise DropError(Drop.UNEXPECTED)
    handle, next_state = transition
    answer = handle(mode, message)
    mode.state = next_state
    return answer


def _recognise(payloads: Payloads) -> Received:
    if payloads.all(PayloadType.SA):
        return Received.SA
    if payloads.all(PayloadType.KE):
        return Received.KE
    if payloads.all(PayloadType.HASH):
        return Received.HASH
    raise DropError(Drop.UNEXPECTED)


def _fault_of(candidates: Sequence[Authentication], faults: Sequence[NotifyError]) -> NotifyError:
    """Return what is wrong with message 5, of which each candidate has found a fault.

    A key that decrypts it is the peer's, and knows best.
    """
    if not candidates:
        why = "there is no pre-shared key for this address"
        return NotifyError(NotifyType.AUTHENTICATION_FAILED, why)
    wrong_key = NotifyType.PAYLOAD_MALFORMED
    for fault in faults:
        if len(candidates) == 1 or fault.code != wrong_key:
            return fault
    return NotifyError(
        wrong_key,
        f"the pre-shared key is none of the {len(candidates)} that are accepted: "
        "the proof of identity cannot be decrypted",
        f"set one of these keys on the client: {', '.join(each.name for each in candidates)}",
    )


def vendor_ids(ids: Sequence[bytes]) -> list[Payload]:
    """Return the payloads of these vendor ids."""
    return [Payload(PayloadType.VENDOR, vendor_id) for vendor_id in ids]


def says_initial_contact(payloads: Payloads) -> bool:
    """Say whether INITIAL-CONTACT is among the payloads of a message."""
    return any(
        notification.type == NotifyType.INITIAL_CONTACT
        for notification in read_notifications(payloads.all(PayloadType.NOTIFY))
    )
