"""HMAC-SHA2-256 with 128 bits (RFC 4868), and with the 96 of peers that follow an early draft."""

import warnings

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import AuthenticationAlgorithm, EspTransform
from ipsec.esp import DropReason, EspError, InboundSa, OutboundSa
from ipsec.events import SaInstalled
from tests.support.esp import ALL_ALGORITHMS, SPI, keys, name, pair
from tests.support.ike import Pair, config

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # scapy imports what cryptography has deprecated
    from scapy.layers.inet import IP, UDP
    from scapy.layers.ipsec import AUTH_ALGOS, ESP, AuthAlgo, SecurityAssociation

SHA2_256 = AuthenticationAlgorithm.HMAC_SHA2_256
AES_256 = EspAlgorithms(EspTransform.AES_CBC, 256, SHA2_256)
TRIPLE_DES = EspAlgorithms(EspTransform.TRIPLE_DES, 0, SHA2_256)
DRAFT = "SHA2-256-96"
CIPHERS = {AES_256: "AES-CBC", TRIPLE_DES: "3DES"}

both_ciphers = pytest.mark.parametrize("algorithms", [AES_256, TRIPLE_DES], ids=name)
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")


def draft_pair(algorithms: EspAlgorithms) -> tuple[OutboundSa, InboundSa]:
    """Return a sender that truncates to 96 bits, and a receiver that does not know."""
    outbound, inbound = pair(algorithms)
    outbound.truncate(12)
    return outbound, inbound


def reason(inbound: InboundSa, packet: bytes) -> DropReason:
    with pytest.raises(EspError) as dropped:
        inbound.open(packet)
    return dropped.value.reason


def scapy_sa(algorithms: EspAlgorithms, monkeypatch: pytest.MonkeyPatch) -> SecurityAssociation:
    """Return scapy's idea of an SA with 96 bits, which it knows no name of."""
    draft = AuthAlgo(DRAFT, mac=HMAC, digestmod=SHA256, icv_size=12)
    monkeypatch.setitem(AUTH_ALGOS, DRAFT, draft)
    encryption_key, authentication_key = keys(algorithms)
    return SecurityAssociation(
        ESP,
        spi=SPI,
        crypt_algo=CIPHERS[algorithms],
        crypt_key=encryption_key,
        auth_algo=DRAFT,
        auth_key=authentication_key,
    )


# One SA.


@both_ciphers
def test_scapy_with_96_bits(algorithms: EspAlgorithms, monkeypatch: pytest.MonkeyPatch) -> None:
    outbound, inbound = pair(algorithms)
    theirs = scapy_sa(algorithms, monkeypatch)
    for length in range(40):
        datagram = UDP(sport=1701, dport=1701, chksum=0) / bytes(range(length))
        sealed = theirs.encrypt(IP(src="192.0.2.1", dst="192.0.2.2") / datagram)
        assert inbound.open(bytes(sealed[ESP])) == bytes(datagram)
    outbound.truncate(inbound.icv_length)
    packet = IP(src="192.0.2.1", dst="192.0.2.2", proto=50) / ESP(outbound.seal(bytes(datagram)))
    assert bytes(theirs.decrypt(IP(bytes(packet)))[UDP]) == bytes(datagram)


@both_ciphers
def test_the_first_packet_decides(algorithms: EspAlgorithms) -> None:
    usual, inbound = pair(algorithms)
    draft, other = draft_pair(algorithms)
    assert inbound.icv_length == other.icv_length == 16
    usual_packets = [usual.seal(b"payload") for _ in range(3)]
    draft_packets = [draft.seal(b"payload") for _ in range(3)]
    assert inbound.open(usual_packets[0]) == other.open(draft_packets[0]) == b"payload"
    assert (inbound.icv_length, other.icv_length) == (16, 12)
    assert reason(inbound, draft_packets[1]) is DropReason.BAD_LENGTH
    assert reason(other, usual_packets[1]) is DropReason.BAD_LENGTH
    assert inbound.open(usual_packets[2]) == other.open(draft_packets[2]) == b"payload"
    assert (inbound.packets, other.packets) == (2, 2)
    assert inbound.octets == other.octets


@both_ciphers
def test_what_is_not_genuine_decides_nothing(algorithms: EspAlgorithms) -> None:
    draft, inbound = draft_pair(algorithms)
    packet = draft.seal(b"payload")
    for position in range(8, len(packet)):
        changed = bytearray(packet)
        changed[position] ^= 1
        assert reason(inbound, bytes(changed)) is DropReason.BAD_LENGTH
    for length in range(len(packet)):
        with pytest.raises(EspError):
            inbound.open(packet[:length])
    assert (inbound.icv_length, inbound.packets, inbound.window.right_edge) == (16, 0, 0)
    usual, _ = pair(algorithms)
    assert inbound.open(usual.seal(b"payload")) == b"payload", "nor was the cipher disturbed"


def test_a_first_packet_with_a_number_that_is_never_sent() -> None:
    """It was made by who has the key, and is dropped all the same."""
    draft, inbound = draft_pair(AES_256)
    draft.sequence = -1
    assert reason(inbound, draft.seal(b"payload")) is DropReason.REPLAYED
    assert inbound.open(draft.seal(b"payload")) == b"payload"


def test_an_expectation_may_be_wrong() -> None:
    usual, inbound = pair(AES_256)
    inbound.truncate(12)
    assert inbound.open(usual.seal(b"payload")) == b"payload"
    assert inbound.icv_length == 16


def test_all_other_algorithms_have_one_length() -> None:
    more = [one for one in ALL_ALGORITHMS if len(one.icv_lengths) > 1]
    assert {one.authentication for one in more} == {SHA2_256}
    assert {one.icv_lengths for one in more} == {(16, 12)}


# The pairs of a peer.


def draft_client() -> Pair:
    """Return a client and a server that use HMAC-SHA2-256; the client truncates to 96 bits."""
    hosts = Pair(config(esp_offers=(AES_256,)), config())
    hosts.establish()
    truncate(hosts)
    return hosts


def truncate(hosts: Pair) -> None:
    """Let the client's newest pair be as its kernel makes it."""
    newest = hosts.client.told(SaInstalled)[-1]
    newest.inbound.truncate(12)
    newest.outbound.truncate(12)


def lengths(hosts: Pair) -> list[tuple[int, int]]:
    pairs = hosts.server.told(SaInstalled)
    return [(sas.inbound.icv_length, sas.outbound.icv_length) for sas in pairs]


def test_the_answer_is_truncated_as_the_question_was() -> None:
    hosts = draft_client()
    assert lengths(hosts) == [(16, 16)]
    hosts.exchange()
    assert lengths(hosts) == [(12, 12)]


def test_the_next_pair_of_a_peer_begins_with_what_was_found() -> None:
    hosts = draft_client()
    hosts.exchange()
    hosts.client.ike.rekey_esp(1, hosts.simulation.now)
    hosts.simulation.run(0.5)
    truncate(hosts)
    assert lengths(hosts) == [(12, 12)] * 2
    hosts.server.send(b"the server speaks first")
    assert hosts.simulation.run(1.0, lambda: bool(hosts.client.payloads))
    hosts.exchange()


def test_a_new_peer_does_not() -> None:
    hosts = draft_client()
    hosts.exchange()
    hosts.client.ike.close_peer(1, hosts.simulation.now)
    hosts.connect()
    assert hosts.simulation.run(5.0, lambda: len(lengths(hosts)) == 2)
    assert lengths(hosts)[-1] == (16, 16)
