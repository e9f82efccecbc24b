"""Aggressive Mode of a native client, as racoon does it, and is strict about it [S].

In message 2 SA comes first and NAT-D after the vendor id that says what it is. Message 3 is in
clear, its NAT-D payloads are of the ports after the move to 4500, and it is sent again each time
that message 2 comes again.
"""

from typing import Final

from ipsec import natt
from ipsec.constants import ExchangeType, Flags, PayloadType
from ipsec.groups import KeyAgreement
from ipsec.message import Payload, Payloads, parse_message
from ipsec.offers import read_ike_offer
from ipsec.path import Path
from ipsec.payloads import Identification
from ipsec.phase1_keys import KeyExchange, Phase1Keys
from tests.support.native.agenda import require
from tests.support.native.main_mode import MainMode, only

IN_MESSAGE_2: Final = {
    PayloadType.SA,
    PayloadType.KE,
    PayloadType.NONCE,
    PayloadType.ID,
    PayloadType.HASH,
    PayloadType.VENDOR,
    PayloadType.NOTIFY,
}


class AggressiveMode(MainMode):
    """One aggressive mode, and the ISAKMP SA that comes of it."""

    exchange = ExchangeType.AGGRESSIVE
    _id_b = _third = b""

    def first(self) -> bytes:
        """Return message 1."""
        assert self._phase1.group is not None
        offered = read_ike_offer(self._phase1.offer.proposals[0].transforms[0])
        assert offered is not None
        self._agreement = KeyAgreement.generate(offered.suite.group, self._entropy)
        kind, name = self._phase1.group
        self._id_b = Identification(kind, 17, self._phase1.port, name).build()
        payloads = [
            Payload(PayloadType.SA, self._sai_b),
            Payload(PayloadType.KE, self._agreement.public),
            Payload(PayloadType.NONCE, self._nonce),
            Payload(PayloadType.ID, self._id_b),
        ]
        vendor_ids = [bytes.fromhex(text) for text in self._phase1.vendor_ids]
        return self._clear(payloads + [Payload(PayloadType.VENDOR, body) for body in vendor_ids])

    def receive(self, raw: bytes, path: Path) -> bytes | None:
        """Take message 2; return message 3."""
        if raw == self._last:
            return self._third
        if not self.awaited:
            return None
        header, body = parse_message(raw)
        require(header.message_id == 0, "a message id in Aggressive Mode")
        require(not header.flags & Flags.ENCRYPTION, "encryption in message 2")
        require(any(header.cookies.responder), "no cookie of the responder")
        self.cookies = header.cookies
        self._third = self._take_second(Payloads.parse(header.first, body), path)
        self._last, self.awaited = raw, 0
        return self._third

    def _take_second(self, payloads: Payloads, path: Path) -> bytes:
        assert self._agreement is not None
        require(payloads.first_type == PayloadType.SA, "SA is not first")
        self._take_choice(payloads)
        only(payloads, IN_MESSAGE_2 | ({self.variant.nat_d} if self.variant else set()))
        if self.variant is not None:
            kinds = [item.type for item in payloads.items]
            last_vendor_id = len(kinds) - 1 - kinds[::-1].index(PayloadType.VENDOR)
            require(kinds.index(self.variant.nat_d) > last_vendor_id, "NAT-D of what?")
        g_xr, nr = payloads.the(PayloadType.KE), payloads.the(PayloadType.NONCE)
        g_xy = self._agreement.shared(g_xr)
        exchange = KeyExchange(self._agreement.public, g_xr, self._nonce, nr, g_xy)
        self._keys = Phase1Keys(self.suite, self.cookies, exchange, self._psk)
        id_b, proof = payloads.the(PayloadType.ID), payloads.the(PayloadType.HASH)
        require(self._keys.proves(proof, False, self._sai_b, id_b), "HASH_R is wrong")
        self._look_for_nat(payloads, path)
        self._take_identity(id_b)
        self.last_block = self._keys.first_iv
        hash_i = self._keys.proof(True, self._sai_b, self._id_b)
        answer = [Payload(PayloadType.HASH, hash_i)]
        if self.variant is not None:
            answer += natt.nat_d_payloads(self.variant, self.suite.hash, self.cookies, self.path)
        return self._clear(answer)
