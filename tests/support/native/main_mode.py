"""Main Mode of a native client: its own messages, and a close look at the server's.

What racoon takes (on macOS, iOS and Android) is read from its source, and is the measure for
all clients here: in message 2 nothing but SA and vendor ids, in message 4 nothing but the key
exchange, in message 6 the identity and its proof; one of each, and no answer that was not
offered, octet for octet [S].
"""

from typing import Final

from ipsec import natt
from ipsec.constants import (
    IKE_PORT,
    PROTOCOL_UDP,
    ExchangeType,
    Flags,
    IdType,
    NotifyType,
    PayloadType,
    ProtocolId,
)
from ipsec.groups import KeyAgreement
from ipsec.message import NO_COOKIE, Cookies, Payload, Payloads, build_message, parse_message
from ipsec.natt import NO_NAT, Nat, Variant
from ipsec.offers import IkeSuite, read_ike_offer
from ipsec.path import Path
from ipsec.payloads import Identification, Notification
from ipsec.phase1_keys import KeyExchange, Phase1Keys
from ipsec.proposals import SecurityAssociation
from ipsec.protection import Protection
from tests.support.native.agenda import require
from tests.support.native.profile import Contact, Phase1, ServerIdentity
from wire import Entropy, Reader

IN_MESSAGE_2: Final = {PayloadType.SA, PayloadType.VENDOR}
IN_MESSAGE_4: Final = {
    PayloadType.KE,
    PayloadType.NONCE,
    PayloadType.VENDOR,
    PayloadType.CERTREQ,
}
IN_MESSAGE_6: Final = {
    PayloadType.ID,
    PayloadType.HASH,
    PayloadType.CERT,
    PayloadType.SIG,
    PayloadType.VENDOR,
    PayloadType.NOTIFY,
}


class MainMode:
    """One main mode, and the ISAKMP SA that comes of it.

    `path` is where to send; `awaited` the number of the message that comes next, 0 when all is
    done; `last_block` is that of message 6.
    """

    exchange = ExchangeType.IDENTITY_PROTECTION

    def __init__(
        self, phase1: Phase1, psk: bytes, path: Path, entropy: Entropy, first_contact: bool
    ) -> None:
        self.path = path
        self.awaited = 2
        self.cookies = Cookies(entropy(8), NO_COOKIE)
        self.variant: Variant | None = None
        self.nat: Nat = NO_NAT
        self.last_block = b""
        self._phase1 = phase1
        self._psk = psk
        self._entropy = entropy
        self._first_contact = first_contact
        self._sai_b = phase1.offer.build()
        self._nonce = entropy(phase1.nonce)
        self._suite: IkeSuite | None = None
        self._agreement: KeyAgreement | None = None
        self._keys: Phase1Keys | None = None
        self._last = b""

    @property
    def suite(self) -> IkeSuite:
        assert self._suite is not None
        return self._suite

    @property
    def protection(self) -> Protection:
        assert self._keys is not None
        return self._keys.protection

    def first(self) -> bytes:
        """Return message 1."""
        vendor_ids = [bytes.fromhex(text) for text in self._phase1.vendor_ids]
        payloads = [Payload(PayloadType.SA, self._sai_b)]
        return self._clear(payloads + [Payload(PayloadType.VENDOR, body) for body in vendor_ids])

    def receive(self, raw: bytes, path: Path) -> bytes | None:
        """Take a message of the server; return the next one, if there is one."""
        if raw == self._last or not self.awaited:
            return None
        header, body = parse_message(raw)
        require(header.exchange == self.exchange, f"{header.exchange}")
        require(header.message_id == 0, "a message id in Main Mode")
        require(bool(header.flags & Flags.ENCRYPTION) == (self.awaited == 6), "flags")
        if self.awaited == 6:
            self._take_6(raw)
            answer = None
        elif self.awaited == 4:
            answer = self._take_4(Payloads.parse(header.first, body), path)
        else:
            require(any(header.cookies.responder), "no cookie of the responder")
            self.cookies = header.cookies
            answer = self._take_2(Payloads.parse(header.first, body))
        self.awaited = 0 if self.awaited == 6 else self.awaited + 2
        self._last = raw
        return answer

    def _take_2(self, payloads: Payloads) -> bytes:
        only(payloads, IN_MESSAGE_2)
        self._take_choice(payloads)
        self._agreement = KeyAgreement.generate(self.suite.group, self._entropy)
        answer = [
            Payload(PayloadType.KE, self._agreement.public),
            Payload(PayloadType.NONCE, self._nonce),
        ]
        if self.variant is not None:
            answer += natt.nat_d_payloads(self.variant, self.suite.hash, self.cookies, self.path)
        return self._clear(answer)

    def _take_choice(self, payloads: Payloads) -> None:
        """See that the server chose among what was offered."""
        proposals = SecurityAssociation.parse(Reader(payloads.the(PayloadType.SA))).proposals
        require(len(proposals) == 1 and len(proposals[0].transforms) == 1, "more than one answer")
        offered = self._phase1.offer.proposals[0]
        require(proposals[0].number == offered.number, "another proposal number")
        require(proposals[0].transforms[0] in offered.transforms, "a transform was changed")
        offer = read_ike_offer(proposals[0].transforms[0])
        assert offer is not None
        self._suite = offer.suite
        vendor_ids = [body.hex() for body in payloads.all(PayloadType.VENDOR)]
        require(set(vendor_ids) <= set(self._phase1.vendor_ids), "vendor ids nobody offered")
        require(not any(text.startswith("1e2b5169") for text in vendor_ids), "a Windows server")
        self.variant = natt.choose_variant([bytes.fromhex(text) for text in vendor_ids])

    def _take_4(self, payloads: Payloads, path: Path) -> bytes:
        assert self._agreement is not None
        only(payloads, IN_MESSAGE_4 | ({self.variant.nat_d} if self.variant else set()))
        g_xr, nr = payloads.the(PayloadType.KE), payloads.the(PayloadType.NONCE)
        self._look_for_nat(payloads, path)
        g_xy = self._agreement.shared(g_xr)
        exchange = KeyExchange(self._agreement.public, g_xr, self._nonce, nr, g_xy)
        certified = self._phase1.certified
        psk = None if certified else self._psk
        self._keys = Phase1Keys(self.suite, self.cookies, exchange, psk)
        if certified is not None:
            certified.check_requests(payloads)
            id_b = certified.identity.build()
            proof = certified.prove(self._keys.proof(True, self._sai_b, id_b))
        else:
            protocol = PROTOCOL_UDP if self._phase1.port else 0
            host = self.path.local.host
            id_b = Identification.of_address(host, protocol, self._phase1.port).build()
            proof = [Payload(PayloadType.HASH, self._keys.proof(True, self._sai_b, id_b))]
        answer = [Payload(PayloadType.ID, id_b), *proof]
        if self._first_contact and self._phase1.contact is Contact.MESSAGE_5:
            answer.append(self.initial_contact())
        message, self.last_block = self.protection.seal(
            ExchangeType.IDENTITY_PROTECTION, 0, Payloads.of(answer), self._keys.first_iv
        )
        return message

    def _look_for_nat(self, payloads: Payloads, path: Path) -> None:
        if self.variant is not None:
            require(len(payloads.all(self.variant.nat_d)) == 2, "NAT-D are two")
            algorithm = self.suite.hash
            self.nat = natt.detect(self.variant, algorithm, self.cookies, path, payloads)
        if self.nat.found and self.path.local.port == IKE_PORT:
            self.path = natt.float_ports(self.path)

    def initial_contact(self) -> Payload:
        """Return the notification, with the cookies as SPI [S]."""
        notification = Notification(
            NotifyType.INITIAL_CONTACT, ProtocolId.ISAKMP, b"".join(self.cookies)
        )
        return Payload(PayloadType.NOTIFY, notification.build())

    def _take_6(self, raw: bytes) -> None:
        assert self._keys is not None
        header, body = parse_message(raw)
        payloads, last_block = self.protection.open(header, body, self.last_block)
        only(payloads, IN_MESSAGE_6)
        id_b, certified = payloads.the(PayloadType.ID), self._phase1.certified
        self.last_block = last_block
        if certified is not None:
            digest = self._keys.proof(False, self._sai_b, id_b)
            certified.check(payloads, digest, self.path.peer.host)
            return
        proof = payloads.the(PayloadType.HASH)
        require(self._keys.proves(proof, False, self._sai_b, id_b), "HASH_R is wrong")
        self._take_identity(id_b)

    def _take_identity(self, id_b: bytes) -> None:
        """See that the server is who it should be."""
        identity = Identification.parse(Reader(id_b))
        if self._phase1.server is ServerIdentity.DIALLED:
            require(identity.address == self.path.peer.host, f"{identity} was not dialled")
        elif self._phase1.server is ServerIdentity.ADDRESS and not self.nat.ours:
            is_address = identity.type in (IdType.IPV4_ADDR, IdType.IPV6_ADDR)
            require(is_address, f"{identity} is no address")

    def _clear(self, payloads: list[Payload]) -> bytes:
        return build_message(self.cookies, self.exchange, Payloads.of(payloads))


def only(payloads: Payloads, kinds: set[PayloadType]) -> None:
    """Refuse a message that holds anything else."""
    for item in payloads.items:
        require(item.type in kinds, f"unexpected {item.type}")
