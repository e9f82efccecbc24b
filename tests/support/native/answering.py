"""Quick Mode that the server begins, as a native client answers it.

It must be for the same traffic as a pair before [S for racoon: "IDs must equal a previous pair"],
with algorithms and encapsulation that the client would offer itself; that the clients take it at
all is [R] for all but racoon.
"""

from ipsec import keymat
from ipsec.constants import ExchangeType, PayloadType, ProtocolId
from ipsec.esp import InboundSa, OutboundSa
from ipsec.groups import KeyAgreement
from ipsec.message import Payload, Payloads, parse_message
from ipsec.offers import read_esp_offer
from ipsec.proposals import Proposal, SecurityAssociation
from ipsec.protection import hashed, verify_hash
from tests.support.native.agenda import require
from tests.support.native.main_mode import MainMode
from tests.support.native.profile import Phase2
from tests.support.native.quick_mode import QuickMode, SaPair
from wire import Entropy, Reader


class Answering:
    """One quick mode of the server under `main`; `own` is one of the client, not begun.

    There is a `pair` once message 3 has come.
    """

    def __init__(self, phase2: Phase2, main: MainMode, own: QuickMode, entropy: Entropy) -> None:
        self.main = main
        self.pair: SaPair | None = None
        self._phase2, self._own, self._entropy = phase2, own, entropy
        self._iv = main.protection.phase2_iv(main.last_block, own.message_id)
        self._first = b""
        self._second = b""
        self._nonces = b"", b""
        self._agreed: SaPair | None = None

    def receive(self, raw: bytes) -> bytes | None:
        """Take message 1 or 3; return message 2."""
        if raw == self._first:
            return self._second
        if self.pair is not None:
            return None
        keys, number = self.main.protection, self._own.message_id
        header, body = parse_message(raw)
        payloads, iv = keys.open(header, body, self._iv)
        if self._agreed is not None:
            third = keymat.quick_hash_3(keys.hash, keys.skeyid.a, number, *self._nonces)
            verify_hash(payloads, third)
            self.pair = self._agreed
            return None
        verify_hash(
            payloads, keymat.quick_hash_1(keys.hash, keys.skeyid.a, number, payloads.after_hash())
        )
        self._iv, self._first = iv, raw
        self._second = self._answer(payloads)
        return self._second

    def _answer(self, payloads: Payloads) -> bytes:
        own, keys = self._own, self.main.protection
        require(payloads.all(PayloadType.ID) == own.identities[::-1], "IDs of no previous pair")
        kinds = {item.type for item in own.nat_oa}
        require(len(payloads.all(*kinds)) == len(own.nat_oa), "NAT-OA both ways or not at all")
        offered = SecurityAssociation.parse(Reader(payloads.the(PayloadType.SA))).proposals
        require(len(offered) == 1 and len(offered[0].transforms) == 1, "more than one offer")
        offer = read_esp_offer(offered[0].transforms[0])
        usual = [read_esp_offer(one) for each in own.offer.proposals for one in each.transforms]
        assert offer is not None
        like = [one for one in usual if one is not None and one.algorithms == offer.algorithms]
        require(bool(like) and like[0].mode == offer.mode, f"{offer} is not what the client has")
        require(like[0].group == offer.group, "another group")
        ni, nr, g_xy = payloads.the(PayloadType.NONCE), self._entropy(16), b""
        self._nonces = ni, nr
        answer = Proposal(offered[0].number, ProtocolId.ESP, own.spi, offered[0].transforms)
        items = [
            Payload(PayloadType.SA, SecurityAssociation((answer,)).build()),
            Payload(PayloadType.NONCE, nr),
        ]
        if offer.group is not None:
            agreement = KeyAgreement.generate(offer.group, self._entropy)
            g_xy = agreement.shared(payloads.the(PayloadType.KE))
            items.append(Payload(PayloadType.KE, agreement.public))
        items += [Payload(PayloadType.ID, body) for body in own.identities[::-1]]
        content = Payloads.of(items + own.nat_oa[::-1])

        def keys_of(spi: bytes) -> tuple[bytes, bytes]:
            length, esp = offer.algorithms.keymat_length, ProtocolId.ESP
            octets = keymat.esp_keymat(keys.hash, keys.skeyid.d, esp, spi, ni, nr, length, g_xy)
            return offer.algorithms.split(octets)

        theirs, algorithms = offered[0].spi, offer.algorithms
        inbound = InboundSa(int.from_bytes(own.spi), algorithms, *keys_of(own.spi))
        outbound = OutboundSa(int.from_bytes(theirs), algorithms, *keys_of(theirs), self._entropy)
        if self._phase2.draft_icv:
            inbound.truncate(algorithms.icv_lengths[-1])
            outbound.truncate(algorithms.icv_lengths[-1])
        self._agreed = SaPair(inbound, outbound, bool(own.nat_oa), algorithms)
        second = keymat.quick_hash_2(keys.hash, keys.skeyid.a, own.message_id, ni, content.octets)
        message, self._iv = keys.seal(
            ExchangeType.QUICK_MODE, own.message_id, hashed(second, content), self._iv
        )
        return message
