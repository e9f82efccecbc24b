"""The golden sessions' client, replayed against our responder.

What the recorded server drew at random is given to Ike as its entropy, and its Diffie-Hellman
secret as the result of the key agreement. So all that Ike computes must be what strongSwan did.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ipsec import groups, protection
from ipsec.constants import EncryptionAlgorithm, GroupDescription, PayloadType
from ipsec.crypto import Phase1Cipher
from ipsec.endpoint import Ike
from ipsec.events import (
    EspOffered,
    Event,
    PeerAuthenticated,
    PeerClosed,
    SaConfirmed,
    SaDeleted,
    SaInstalled,
)
from ipsec.message import Header, Payload, Payloads, parse_message
from ipsec.path import Address, Path
from ipsec.payloads import Delete, Identification, OriginalAddress
from ipsec.proposals import SecurityAssociation
from ipsec.udpencap import Kind, add_marker, classify, strip_marker
from ipsec.vendor import FRAGMENTATION
from tests.support.fragments import Cut, strongswan
from tests.support.ike import config
from tests.support.pcap import DATA, UdpDatagram, esp_packets, udp_datagrams
from wire import Reader

GOLDEN = DATA / "golden"
KEYS: dict[str, dict[str, Any]] = json.loads((GOLDEN / "keys.json").read_text())
CODECS = {
    PayloadType.SA: SecurityAssociation,
    PayloadType.ID: Identification,
    PayloadType.NAT_OA: OriginalAddress,
    PayloadType.DELETE: Delete,
}


class Recorded(groups.KeyAgreement):
    """The server's half of the recorded key agreement."""

    secret = b""

    def _agree(self, peer_public: bytes) -> bytes:
        return self.secret


class Session:
    """A capture: its IKE datagrams, and what the server drew at random, by length."""

    def __init__(self, name: str, client: str, server: str, known: str) -> None:
        self.name = name
        self.known = KEYS[known]
        self.client, self.server = client, server
        self.datagrams = [
            datagram
            for datagram in udp_datagrams(GOLDEN / name)
            if classify(datagram.payload, datagram.destination[1]) is Kind.IKE
        ]
        cookie, spi = self.known["cookie_r"], self.known["quick_mode"]["spi_r"]
        self.random = {
            8: [bytes.fromhex(cookie)],
            32: [self.clear(4, PayloadType.NONCE), bytes.fromhex(self.known["quick_mode"]["nr"])],
            4: [bytes(4), bytes.fromhex(spi)],
        }

    def entropy(self, length: int) -> bytes:
        return self.random[length].pop(0) if self.random.get(length) else bytes(length)

    def clear(self, message: int, kind: PayloadType) -> bytes:
        datagram = self.datagrams[message - 1]
        header, body = parse_message(octets(datagram))
        return Payloads.parse(header.first, body).the(kind)

    @property
    def encapsulated(self) -> bool:
        return self.known["mode"] == "ipsec"

    def opened(self, answer: bytes) -> tuple[Payload, ...]:
        """Return the payloads of a second message of Quick Mode."""
        cipher = Phase1Cipher(EncryptionAlgorithm.AES_CBC, 256, bytes.fromhex(self.known["ka"]))
        first = octets(self.datagrams[6])
        message = strip_marker(answer, 4500)
        assert message is not None
        plaintext = cipher.decrypt(cipher.next_iv(first), message[28:])
        return Payloads.parse(PayloadType.HASH, plaintext).items

    def replay(self, ike: Ike, cut: Cut) -> Iterator[tuple[bytes, bytes]]:
        """Yield for each answer of the recorded server ours and the recorded one.

        What the client sent after its first message comes as `cut` has it.
        """
        answers: list[bytes] = []
        for datagram in self.datagrams:
            if datagram.source[0] == self.client:
                path = Path(Address(*datagram.destination), Address(*datagram.source))
                whole = octets(datagram)
                for part in [whole] if datagram is self.datagrams[0] else cut(whole):
                    ike.receive(add_marker(part, path.local.port), path, 0.0)
                answers += [data for data, _ in ike.datagrams_to_send()]
            else:
                yield answers.pop(0), datagram.payload
        assert answers == []


def octets(datagram: UdpDatagram) -> bytes:
    message = strip_marker(datagram.payload, datagram.destination[1])
    assert message is not None
    return message


@pytest.fixture(
    params=[
        ("ipsec-natt-server.pcap", "10.2.0.1", "10.2.0.2", "ipsec"),
        ("ipsec-direct.pcap", "10.1.0.2", "10.2.0.2", "ipsecdirect"),
    ],
    ids=["nat", "direct"],
)
def session(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Session:
    session = Session(*request.param)
    Recorded.secret = bytes.fromhex(session.known["g_xy"])
    public = session.clear(4, PayloadType.KE)
    agreement = Recorded(GroupDescription.MODP_2048, public)
    monkeypatch.setattr(groups.KeyAgreement, "generate", lambda group, entropy: agreement)
    monkeypatch.setattr(protection, "pad", pad_like_strongswan)
    return session


def pad_like_strongswan(octets: bytes, block_length: int) -> bytes:
    return octets + bytes(block_length - len(octets) % block_length)


@pytest.mark.parametrize("cut", [lambda message: [message], strongswan(50)], ids=["whole", "cut"])
def test_replay(session: Session, cut: Cut) -> None:
    ike = Ike(config(dpd_interval=None), session.entropy)
    answers = list(session.replay(ike, cut))
    (our_2, their_2), (our_4, their_4), (our_6, their_6), (our_q2, their_q2) = answers

    # Message 2: the same choice; strongSwan also sends VIDs of what we do not do.
    ours, theirs = (Payloads.parse(PayloadType.SA, message[28:]) for message in (our_2, their_2))
    assert ours.the(PayloadType.SA) == theirs.the(PayloadType.SA)
    assert set(ours.all(PayloadType.VENDOR)) <= set(theirs.all(PayloadType.VENDOR))
    assert FRAGMENTATION[0] in ours.all(PayloadType.VENDOR)
    # All others octet for octet, marker and encryption included.
    assert our_4 == their_4
    assert our_6 == their_6
    if session.encapsulated:
        # strongSwan returns the client's identifier as it sees it, we as it came (RFC 2409 5.5).
        our_items, their_items = session.opened(our_q2), session.opened(their_q2)
        changed = [index for index in range(7) if our_items[index] != their_items[index]]
        assert [our_items[index].type for index in changed] == [PayloadType.HASH, PayloadType.ID]
        assert our_items[3].body.hex() == session.known["quick_mode"]["ids"][0]
    else:
        assert our_q2 == their_q2

    events: list[Event] = []
    while (event := ike.next_event()) is not None:
        events.append(event)
    kinds = [PeerAuthenticated, EspOffered, SaInstalled, SaDeleted, PeerClosed]
    if not session.encapsulated:
        kinds.insert(3, SaConfirmed)  # else message 3 follows from a message 2 that is not ours
    assert [type(event) for event in events] == kinds
    installed = events[2]
    assert isinstance(installed, SaInstalled)
    assert installed.encapsulated == session.encapsulated
    assert installed.original_address == ("10.1.0.2" if session.encapsulated else None)
    assert installed.lifetime_seconds == 3960
    received = [p for p in esp_packets(GOLDEN / session.name) if p.source == session.client]
    assert received
    for packet in received:
        installed.inbound.open(packet.payload)


@pytest.mark.parametrize("name", ["ipsec-natt-client", "ipsec-natt-server", "ipsec-direct"])
def test_messages_are_rebuilt_octet_for_octet(name: str) -> None:
    found = 0
    for datagram in udp_datagrams(GOLDEN / f"{name}.pcap"):
        if classify(datagram.payload, datagram.destination[1]) is not Kind.IKE:
            continue
        found += 1
        message = octets(datagram)
        header, body = parse_message(message)
        assert header.build() + body == message
        assert Header.parse(Reader(message)) == header
        if header.flags:
            continue
        payloads = Payloads.parse(header.first, body)
        assert payloads.octets == body
        assert Payloads.of(payloads.items) == payloads
        for kind, content in payloads.items:
            if kind in CODECS:
                assert CODECS[kind].parse(Reader(content)).build() == content
    assert found == 11


@pytest.mark.parametrize("known", ["ipsec", "ipsecdirect"])
def test_encrypted_payloads_are_rebuilt_octet_for_octet(known: str) -> None:
    quick_mode = KEYS[known]["quick_mode"]
    payloads = [
        *((SecurityAssociation, quick_mode[name]) for name in ("sa_i", "sa_r")),
        *((Identification, identity) for identity in quick_mode["ids"]),
        *((OriginalAddress, address) for address in quick_mode["nat_oa"]),
        *((Delete, informational["payload"][0]) for informational in KEYS[known]["informational"]),
        (Identification, KEYS[known]["id_i"]),
        (Identification, KEYS[known]["id_r"]),
    ]
    assert len(payloads) >= 8
    for codec, content in payloads:
        assert codec.parse(Reader(bytes.fromhex(content))).build().hex() == content
