"""Quick Mode of a native client, and the pair of ESP SAs that comes of it.

The answer must have HASH and SA first, one transform of those that were offered, unchanged, and
the client identifiers as they were sent [S for racoon].
"""

from typing import NamedTuple

from ipsec import keymat, natt
from ipsec.algorithms import EspAlgorithms
from ipsec.constants import (
    L2TP_PORT,
    PROTOCOL_UDP,
    EncapsulationMode,
    ExchangeType,
    GroupDescription,
    PayloadType,
    ProtocolId,
)
from ipsec.esp import InboundSa, OutboundSa
from ipsec.groups import KeyAgreement
from ipsec.message import Payload, Payloads, parse_message
from ipsec.offers import read_esp_offer
from ipsec.payloads import Identification
from ipsec.proposals import SecurityAssociation
from ipsec.protection import hashed, verify_hash
from tests.support.native.agenda import require
from tests.support.native.main_mode import MainMode
from tests.support.native.profile import Phase2
from wire import Entropy, Reader


class SaPair(NamedTuple):
    """The SAs of one quick mode; `encapsulated` in UDP, or not."""

    inbound: InboundSa
    outbound: OutboundSa
    encapsulated: bool
    algorithms: EspAlgorithms


class QuickMode:
    """One quick mode under `main`. `port` is that of the client's L2TP in IDci."""

    def __init__(
        self,
        phase2: Phase2,
        main: MainMode,
        message_id: int,
        nonce: bytes,
        port: int,
        entropy: Entropy,
    ) -> None:
        self.main = main
        self.message_id = message_id
        self.pair: SaPair | None = None
        self._entropy = entropy
        self._ni = nonce
        self.spi = b"\x0c" + entropy(3)
        self._iv = main.protection.phase2_iv(main.last_block, message_id)
        variant = main.variant if main.nat.found else None
        mode = EncapsulationMode.TRANSPORT if variant is None else variant.udp_transport
        self.offer = phase2.offer(mode, self.spi)
        self._draft_icv = phase2.draft_icv
        local, peer = main.path.local.host, main.path.peer.host
        self.identities = [
            Identification.of_address(local, PROTOCOL_UDP, port).build(),
            Identification.of_address(peer, PROTOCOL_UDP, L2TP_PORT).build(),
        ]
        self.nat_oa = [] if variant is None else natt.nat_oa_payloads(variant, local, peer)
        self._second = self._third = b""
        self._agreement: KeyAgreement | None = None
        if phase2.pfs_group:
            group = GroupDescription(phase2.pfs_group)
            self._agreement = KeyAgreement.generate(group, entropy)

    def first(self) -> bytes:
        """Return message 1."""
        payloads = [
            Payload(PayloadType.SA, self.offer.build()),
            Payload(PayloadType.NONCE, self._ni),
        ]
        if self._agreement is not None:
            payloads.append(Payload(PayloadType.KE, self._agreement.public))
        payloads += [Payload(PayloadType.ID, body) for body in self.identities]
        content = Payloads.of(payloads + self.nat_oa)
        keys = self.main.protection
        return self._seal(
            keymat.quick_hash_1(keys.hash, keys.skeyid.a, self.message_id, content.octets), content
        )

    def receive(self, raw: bytes) -> bytes | None:
        """Take message 2; return message 3, as often as message 2 comes."""
        if self.pair is not None:
            return self._third if raw == self._second else None
        keys = self.main.protection
        header, body = parse_message(raw)
        payloads, self._iv = keys.open(header, body, self._iv)
        expected = keymat.quick_hash_2(
            keys.hash, keys.skeyid.a, self.message_id, self._ni, payloads.after_hash()
        )
        verify_hash(payloads, expected)
        kinds = [item.type for item in payloads.items]
        require(kinds[:2] == [PayloadType.HASH, PayloadType.SA], f"{kinds} in message 2")
        more = {PayloadType.NONCE, PayloadType.KE, PayloadType.ID, PayloadType.NOTIFY}
        nat_oa = {item.type for item in self.nat_oa}
        require(set(kinds[2:]) <= more | nat_oa, f"{kinds} in message 2")
        require(payloads.all(PayloadType.ID) == self.identities, "mismatched ID")
        require(len(payloads.all(*nat_oa)) == len(self.nat_oa), "NAT-OA both ways or not at all")
        nr = payloads.the(PayloadType.NONCE)
        g_xy = b""
        if self._agreement is not None:
            g_xy = self._agreement.shared(payloads.the(PayloadType.KE))
        self.pair = self._make_pair(payloads.the(PayloadType.SA), nr, g_xy)
        digest = keymat.quick_hash_3(keys.hash, keys.skeyid.a, self.message_id, self._ni, nr)
        self._second, self._third = raw, self._seal(digest, Payloads.of([]))
        return self._third

    def _make_pair(self, sa_b: bytes, nr: bytes, g_xy: bytes) -> SaPair:
        proposals = SecurityAssociation.parse(Reader(sa_b)).proposals
        require(len(proposals) == 1 and len(proposals[0].transforms) == 1, "more than one answer")
        answer, transform = proposals[0], proposals[0].transforms[0]
        offered = [one for one in self.offer.proposals if one.number == answer.number]
        require(any(transform in one.transforms for one in offered), "a transform was changed")
        offer = read_esp_offer(transform)
        assert offer is not None
        algorithms, keys = offer.algorithms, self.main.protection

        def keys_of(spi: bytes) -> tuple[bytes, bytes]:
            octets = keymat.esp_keymat(
                keys.hash,
                keys.skeyid.d,
                ProtocolId.ESP,
                spi,
                self._ni,
                nr,
                algorithms.keymat_length,
                g_xy,
            )
            return algorithms.split(octets)

        ours, theirs = int.from_bytes(self.spi), int.from_bytes(answer.spi)
        inbound = InboundSa(ours, algorithms, *keys_of(self.spi))
        outbound = OutboundSa(theirs, algorithms, *keys_of(answer.spi), self._entropy)
        if self._draft_icv:
            inbound.truncate(algorithms.icv_lengths[-1])
            outbound.truncate(algorithms.icv_lengths[-1])
        return SaPair(inbound, outbound, bool(self.nat_oa), algorithms)

    def _seal(self, digest: bytes, content: Payloads) -> bytes:
        message, self._iv = self.main.protection.seal(
            ExchangeType.QUICK_MODE, self.message_id, hashed(digest, content), self._iv
        )
        return message
