"""Aggressive Mode with pre-shared keys: three messages, both roles.

How this works (RFC 2409 sections 5 and 5.4, RFC 3947 section 3.2):

    initiator                               responder
    1  SA, KE, Ni, IDii, VID...      -->
                                     <--  2  SA, KE, Nr, IDir, VID..., NAT-D, NAT-D, HASH_R
    3  HASH_I, NAT-D, NAT-D          -->

The identity comes first, so that it can choose the key: who shares one is a *group*. But it
comes before anything is proven, and HASH_R goes to whoever can name a group, who may search it
for the key for as long as he likes. So there are no groups unless somebody configures them, each
has a key of its own, and whoever names none of them gets nothing but a refusal.

A responder computes Diffie-Hellman when it has message 1, which may bear any source address:
`MainModes` limits how often. The group cannot be negotiated: all transforms offer the one that KE
is of. An initiator that found NAT sends message 3 to port 4500 (RFC 3947 section 4); it may be
encrypted and is with us, but not with racoon. Nobody acknowledges it: if it is lost, the
initiator goes on with Quick Mode, which shows the responder that message 2 is to be sent again.
Who renews its ISAKMP SA may have no quick mode to do for long: where there is a peer already, the
responder sends message 2 until it has message 3.
"""

from dataclasses import replace
from typing import ClassVar, Final

from ipsec import vendor
from ipsec.authentication import KeyProof, read_identification
from ipsec.checks import known
from ipsec.constants import (
    IKE_PORT,
    AuthenticationMethod,
    ExchangeType,
    Flags,
    IdType,
    NotifyType,
    PayloadType,
)
from ipsec.errors import NotifyError
from ipsec.events import Negotiation
from ipsec.exchange import Incoming
from ipsec.groups import KeyAgreement
from ipsec.main_mode import (
    MainMode,
    Received,
    State,
    Transitions,
    says_initial_contact,
    step,
    vendor_ids,
)
from ipsec.message import COOKIE_LENGTH, NO_COOKIE, Cookies, Payload, Payloads
from ipsec.natt import Nat, float_ports
from ipsec.payloads import Identification
from ipsec.phase1_keys import NONCE_LENGTH, KeyExchange, read_nonce, shared_secret
from ipsec.policy import choose_ike
from ipsec.proposals import SecurityAssociation
from wire import DecodeError, Reader

AGGRESSIVE_MODE: Final = "aggressive mode"
"""The stage that events name."""

GROUP_ID_TYPES: Final = (IdType.FQDN, IdType.USER_FQDN, IdType.KEY_ID)
"""How clients write the name of a group: Apple and Cisco as KEY_ID, Android as any of them."""


METHODS: Final = (AuthenticationMethod.PRE_SHARED_KEY,)


class AggressiveMode(MainMode):
    """One aggressive mode: a main mode with messages of its own."""

    __slots__ = ()

    exchange: ClassVar[ExchangeType] = ExchangeType.AGGRESSIVE

    @property
    def negotiation(self) -> Negotiation:
        """What it is about. A key exchange does not show yet that the peer hears us."""
        heard = self.state is State.ESTABLISHED or self.failures > 0
        return replace(super().negotiation, heard=heard)

    def start(self, initial_contact: bool) -> bytes:
        """Return message 1; it offers the suites that have the group of the first."""
        self.initial_contact = initial_contact
        suites = self._config.ike_offers
        group = suites[0].group
        self._agreement = KeyAgreement.generate(group, self._entropy)
        self._nonce = self._entropy(NONCE_LENGTH)
        identity = self._config.identity or Identification.of_address(self.path.local.host)
        self.state = State.SA_SENT
        return self._clear(
            [
                self._offer(METHODS, [suite for suite in suites if suite.group == group]),
                Payload(PayloadType.KE, self._agreement.public),
                Payload(PayloadType.NONCE, self._nonce),
                Payload(PayloadType.ID, identity.build()),
                *vendor_ids(vendor.offer()),
            ]
        )

    def _step(self, received: Received, message: Incoming) -> bytes | None:
        return step(self, TRANSITIONS, received, message)

    # Messages 1 and 2.

    def _answer_sa(self, message: Incoming) -> bytes:
        payloads = message.payloads
        identity = read_identification(payloads.the(PayloadType.ID))
        self.extensions = vendor.read(payloads.all(PayloadType.VENDOR))
        self._sai_b = payloads.the(PayloadType.SA)
        choice = choose_ike(
            SecurityAssociation.parse(Reader(self._sai_b)), self._config.policy, METHODS
        )
        g_xi, ni = payloads.the(PayloadType.KE), read_nonce(payloads)
        agreement = KeyAgreement.generate(choice.offer.suite.group, self._entropy)
        g_xy = shared_secret(agreement, g_xi)
        self.cookies = Cookies(self.cookies.initiator, self._entropy(COOKIE_LENGTH))
        self.offer, self.identity = choice.offer, identity
        self._nonce = self._entropy(NONCE_LENGTH)
        self._exchange = KeyExchange(g_xi, agreement.public, ni, self._nonce, g_xy)
        self._derive(KeyProof(self._config.groups[identity.data]))
        id_r, hash_r = self._identity_payloads()
        # racoon passes over NAT-D before it has seen the vendor id.
        return self._clear(
            [
                Payload(PayloadType.SA, choice.answer().build()),
                Payload(PayloadType.KE, agreement.public),
                Payload(PayloadType.NONCE, self._nonce),
                id_r,
                *vendor_ids(vendor.answer(self.extensions)),
                *self._nat_d_payloads(),
                hash_r,
            ]
        )

    # Messages 2 and 3.

    def _send_hash(self, message: Incoming) -> bytes:
        try:
            return self._send_proof(message)
        except (NotifyError, DecodeError):
            # Anybody may have sent this; the responder's may still come.
            self.cookies = Cookies(self.cookies.initiator, NO_COOKIE)
            raise

    def _send_proof(self, message: Incoming) -> bytes:
        payloads = message.payloads
        self.offer = self._chosen_by_peer(payloads.the(PayloadType.SA))
        self.extensions = vendor.read(payloads.all(PayloadType.VENDOR))
        self.cookies = message.header.cookies
        g_xr, nr = payloads.the(PayloadType.KE), read_nonce(payloads)
        agreement = known(self._agreement)
        g_xy = shared_secret(agreement, g_xr)
        self._exchange = KeyExchange(agreement.public, g_xr, self._nonce, nr, g_xy)
        self._derive(KeyProof(self._config.preshared_keys(self.path.peer.host)[0]))
        id_b = payloads.the(PayloadType.ID)
        self._verify(payloads, id_b)
        self.identity = read_identification(id_b)
        self._find_nat(message)
        if self.nat.found and self.path.local.port == IKE_PORT:
            self.path = float_ports(self.path)
        _, hash_i = self._identity_payloads()
        return self._encrypted([hash_i, *self._nat_d_payloads(), *self._contact_payloads()])

    # Message 3.

    def _conclude(self, message: Incoming) -> None:
        try:
            payloads, iv = message.payloads, self.iv
            if message.header.flags & Flags.ENCRYPTION:
                payloads, iv = self.keys.protection.open(message.header, message.body, iv)
            self._verify(payloads, known(self.identity).build())
        except (DecodeError, NotifyError) as error:
            self.failures += 1
            raise _wrong_proof() from error
        self.iv = iv
        self.initial_contact = says_initial_contact(payloads)
        self._find_nat(message._replace(payloads=payloads))
        self.path = message.path

    def _verify(self, payloads: Payloads, id_b: bytes) -> None:
        """See that the peer knows the key. Raises NotifyError and DecodeError."""
        if not self.keys.proves(
            payloads.the(PayloadType.HASH), not self.initiator, self._sai_b, id_b
        ):
            raise _wrong_proof()

    def _find_nat(self, message: Incoming) -> None:
        """Message 3 has hashes of the ports after the move to 4500, or of those before it."""
        super()._find_nat(message)
        if message.path.local.port != self.path.local.port:
            after = self.nat
            super()._find_nat(message._replace(path=self.path))
            self.nat = Nat(self.nat.peer and after.peer, self.nat.ours and after.ours)


TRANSITIONS: Final[Transitions[AggressiveMode]] = {
    # Responder.
    (State.START, Received.SA): (AggressiveMode._answer_sa, State.SA_ANSWERED),
    (State.SA_ANSWERED, Received.HASH): (AggressiveMode._conclude, State.ESTABLISHED),
    (State.SA_ANSWERED, Received.ID): (AggressiveMode._conclude, State.ESTABLISHED),
    # Initiator.
    (State.SA_SENT, Received.SA): (AggressiveMode._send_hash, State.ESTABLISHED),
}


def _wrong_proof() -> NotifyError:
    return NotifyError(
        NotifyType.INVALID_HASH_INFORMATION,
        "the pre-shared key differs: the proof of identity is wrong",
        "set the key of this group on the client",
    )
