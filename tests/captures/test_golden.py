"""The golden sessions, recomputed from the capture, the pre-shared key and g^xy.

Every hash, key and IV of IKE, and every octet of ESP in both directions.
"""

import json
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pytest

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import (
    AuthenticationAlgorithm,
    EncryptionAlgorithm,
    EspTransform,
    HashAlgorithm,
    ProtocolId,
)
from ipsec.crypto import Phase1Cipher, digest
from ipsec.esp import InboundSa
from ipsec.keymat import (
    Skeyid,
    cipher_key,
    esp_keymat,
    hash_i,
    hash_r,
    informational_hash,
    phase1_iv,
    phase2_iv,
    quick_hash_1,
    quick_hash_2,
    quick_hash_3,
    skeyid_psk,
)
from tests.support import isakmp
from tests.support.esp import outbound_with_iv
from tests.support.isakmp import Message, Payload, bodies
from tests.support.pcap import DATA, esp_packets

GOLDEN = DATA / "golden"
KEYS: dict[str, dict[str, Any]] = json.loads((GOLDEN / "keys.json").read_text())
SHA1 = HashAlgorithm.SHA1
ESP = EspAlgorithms(EspTransform.AES_CBC, 256, AuthenticationAlgorithm.HMAC_SHA1)
SESSIONS = {
    "ipsec-natt-server.pcap": "ipsec",
    "ipsec-natt-client.pcap": "ipsec",
    "ipsec-direct.pcap": "ipsecdirect",
}


@dataclass
class Session:
    """A capture, and what keys.json says about it."""

    name: str
    known: dict[str, Any]
    messages: list[Message]

    def octets(self, *names: str) -> tuple[bytes, ...]:
        return tuple(bytes.fromhex(self.known[name]) for name in names)

    def exchange(self, kind: int) -> list[Message]:
        return [message for message in self.messages if message.exchange == kind]

    @property
    def main_mode(self) -> list[Message]:
        return self.exchange(isakmp.MAIN_MODE)

    def phase1_body(self, message: int, kind: int) -> bytes:
        """Return the only payload of a type in one of the four clear messages of Main Mode."""
        (body,) = bodies(self.main_mode[message - 1].payloads(), kind)
        return body

    @property
    def cipher(self) -> Phase1Cipher:
        return Phase1Cipher(EncryptionAlgorithm.AES_CBC, 256, *self.octets("ka"))

    def decrypt(self, exchange: list[Message], iv: bytes) -> list[tuple[list[Payload], bytes]]:
        """Return for each message of an exchange its payloads, and their octets."""
        opened = []
        for message in exchange:
            plaintext = self.cipher.decrypt(iv, message.body)
            assert self.cipher.encrypt(iv, plaintext) == message.body
            iv = self.cipher.next_iv(message.body)
            payloads, length = isakmp.payloads(message.first, plaintext)
            assert plaintext[length:] == bytes(len(plaintext) - length)
            opened.append((payloads, plaintext[:length]))
        return opened

    def decrypt_phase2(self, exchange: list[Message]) -> list[tuple[list[Payload], bytes]]:
        last_block = self.cipher.next_iv(self.main_mode[5].body)
        return self.decrypt(exchange, phase2_iv(SHA1, last_block, exchange[0].message_id, 16))


@pytest.fixture(params=SESSIONS)
def session(request: pytest.FixtureRequest) -> Session:
    name: str = request.param
    return Session(name, KEYS[SESSIONS[name]], isakmp.messages(GOLDEN / name))


def test_phase1_keys(session: Session) -> None:
    g_xy, cky_i, cky_r, ka = session.octets("g_xy", "cookie_i", "cookie_r", "ka")
    ni, nr = session.phase1_body(3, isakmp.NONCE), session.phase1_body(4, isakmp.NONCE)
    skeyid = skeyid_psk(SHA1, session.known["psk"].encode(), ni, nr)
    keys = Skeyid.derive(SHA1, skeyid, g_xy, cky_i, cky_r)
    assert (skeyid, keys.d, keys.a, keys.e) == session.octets(
        "skeyid", "skeyid_d", "skeyid_a", "skeyid_e"
    )
    assert cipher_key(SHA1, keys.e, 32) == ka
    assert {(m.cky_i, m.cky_r) for m in session.messages[1:]} == {(cky_i, cky_r)}


def test_phase1_hashes(session: Session) -> None:
    g_xi, g_xr = session.phase1_body(3, isakmp.KE), session.phase1_body(4, isakmp.KE)
    iv = phase1_iv(SHA1, g_xi, g_xr, 16)
    assert (iv,) == session.octets("phase1_iv")
    (fifth, _), (sixth, _) = session.decrypt(session.main_mode[4:], iv)
    assert [body for _, body in fifth] == [*session.octets("id_i", "hash_i")]
    assert [body for _, body in sixth] == [*session.octets("id_r", "hash_r")]
    skeyid, cky_i, cky_r, id_i, id_r = session.octets(
        "skeyid", "cookie_i", "cookie_r", "id_i", "id_r"
    )
    common = skeyid, g_xi, g_xr, cky_i, cky_r, session.phase1_body(1, isakmp.SA)
    assert (hash_i(SHA1, *common, id_i), hash_r(SHA1, *common, id_r)) == session.octets(
        "hash_i", "hash_r"
    )


@pytest.mark.parametrize(
    ("name", "message", "known"),
    [
        ("ipsec-natt-client.pcap", 3, "natd_i"),
        ("ipsec-natt-server.pcap", 4, "natd_r"),
        ("ipsec-direct.pcap", 3, "natd_i"),
        ("ipsec-direct.pcap", 4, "natd_r"),
    ],
)
def test_natd_hashes(name: str, message: int, known: str) -> None:
    """Seen where it was sent, a message has hashes of its own addresses: first the other end."""
    session = Session(name, KEYS[SESSIONS[name]], isakmp.messages(GOLDEN / name))
    sent = session.main_mode[message - 1]
    cookies = b"".join(session.octets("cookie_i", "cookie_r"))
    expected = [
        digest(SHA1, cookies + ip_address(host).packed + port.to_bytes(2))
        for host, port in (sent.destination, sent.source)
    ]
    assert bodies(sent.payloads(), isakmp.NAT_D) == expected
    assert [value.hex() for value in expected] == session.known[known]


def test_quick_mode(session: Session) -> None:
    known = session.known["quick_mode"]
    exchange = session.exchange(isakmp.QUICK_MODE)
    message_id = int(known["message_id"], 16)
    assert {message.message_id for message in exchange} == {message_id}
    opened = session.decrypt_phase2(exchange)
    assert [[kind for kind, _ in payloads] for payloads, _ in opened] == known["payload_types"]

    (first, first_octets), (second, second_octets), (third, _) = opened
    (ni,), (nr,) = bodies(first, isakmp.NONCE), bodies(second, isakmp.NONCE)
    (skeyid_a,) = session.octets("skeyid_a")
    after_hash = 4 + 20
    assert [bodies(payloads, isakmp.HASH)[0] for payloads in (first, second, third)] == [
        quick_hash_1(SHA1, skeyid_a, message_id, first_octets[after_hash:]),
        quick_hash_2(SHA1, skeyid_a, message_id, ni, second_octets[after_hash:]),
        quick_hash_3(SHA1, skeyid_a, message_id, ni, nr),
    ]
    for payloads, sa, nonce in ((first, "sa_i", "ni"), (second, "sa_r", "nr")):
        assert bodies(payloads, isakmp.SA)[0].hex() == known[sa]
        assert bodies(payloads, isakmp.NONCE)[0].hex() == known[nonce]
    assert [body.hex() for body in bodies(first, isakmp.ID)] == known["ids"]
    assert [body.hex() for body in bodies(first, isakmp.NAT_OA)] == known["nat_oa"]


@pytest.mark.parametrize("direction", ["to_initiator", "to_responder"])
def test_keymat(session: Session, direction: str) -> None:
    quick = session.known["quick_mode"]
    known = quick[direction]
    (skeyid_d,) = session.octets("skeyid_d")
    spi, ni, nr = (bytes.fromhex(value) for value in (known["spi"], quick["ni"], quick["nr"]))
    keymat = esp_keymat(SHA1, skeyid_d, ProtocolId.ESP, spi, ni, nr, ESP.keymat_length)
    assert ESP.split(keymat) == (bytes.fromhex(known["enc"]), bytes.fromhex(known["auth"]))


def test_informational_hashes(session: Session) -> None:
    (skeyid_a,) = session.octets("skeyid_a")
    seen = []
    for message in session.exchange(isakmp.INFORMATIONAL):
        ((payloads, octets),) = session.decrypt_phase2([message])
        (mac,) = bodies(payloads, isakmp.HASH)
        after_hash = octets[4 + len(mac) :]
        assert mac == informational_hash(SHA1, skeyid_a, message.message_id, after_hash)
        seen.append((f"{message.message_id:08x}", [body.hex() for _, body in payloads[1:]]))
    assert seen == [(m["message_id"], m["payload"]) for m in session.known["informational"]]


def test_esp(session: Session) -> None:
    """All packets open, in order and without a drop; sealed again they are the same octets."""
    quick = session.known["quick_mode"]
    keys = {}
    for direction in ("to_initiator", "to_responder"):
        known = quick[direction]
        spi, enc, auth = (bytes.fromhex(known[name]) for name in ("spi", "enc", "auth"))
        keys[spi] = (int.from_bytes(spi), ESP, enc, auth)
    inbound = {spi: InboundSa(*arguments) for spi, arguments in keys.items()}

    packets = [packet.payload for packet in esp_packets(GOLDEN / session.name)]
    assert len(packets) == session.known["esp_packets"]
    for packet in packets:
        spi, sequence, iv = packet[:4], int.from_bytes(packet[4:8]), packet[8:24]
        datagram = inbound[spi].open(packet)
        assert 1701 in (int.from_bytes(datagram[:2]), int.from_bytes(datagram[2:4]))
        assert int.from_bytes(datagram[4:6]) == len(datagram)
        outbound = outbound_with_iv(*keys[spi], iv)
        outbound.sequence = sequence - 1
        assert outbound.seal(datagram) == packet
    assert sum(sa.packets for sa in inbound.values()) == len(packets)
