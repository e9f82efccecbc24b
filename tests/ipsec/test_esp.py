"""ESP: what both ends of an SA do with packets, good and bad, of all algorithms."""

import hmac
from dataclasses import astuple
from itertools import permutations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers import algorithms as block_ciphers

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import AuthenticationAlgorithm, EspTransform
from ipsec.esp import DropReason, EspError, InboundSa, OutboundSa, SequenceExhausted
from tests.support.esp import ALL_ALGORITHMS, SPI, keys, name, outbound_with_iv, pair
from wire import LocalError

AES = EspAlgorithms(EspTransform.AES_CBC, 128, AuthenticationAlgorithm.HMAC_SHA1)
NULL = EspAlgorithms(EspTransform.NULL, 0, AuthenticationAlgorithm.HMAC_SHA1)

every_algorithm = pytest.mark.parametrize("algorithms", ALL_ALGORITHMS, ids=name)


def reason(inbound: InboundSa, packet: bytes) -> DropReason:
    """Return why a packet is dropped, having seen that it is counted."""
    before = dict(inbound.drops)
    packets, octets = inbound.packets, inbound.octets
    with pytest.raises(EspError) as dropped:
        inbound.open(packet)
    why = dropped.value.reason
    assert inbound.drops == before | {why: before.get(why, 0) + 1}
    if why not in (DropReason.BAD_PADDING, DropReason.WRONG_PROTOCOL, DropReason.DUMMY):
        assert (inbound.packets, inbound.octets) == (packets, octets)
    return why


def with_icv(packet: bytes) -> bytes:
    """Return a packet for NULL and HMAC-SHA1, authenticated by the standard library."""
    return packet + hmac.digest(keys(NULL)[1], packet, "sha1")[:12]


def null_packet(sequence: int, plaintext: bytes) -> bytes:
    return with_icv(SPI.to_bytes(4) + sequence.to_bytes(4) + plaintext)


@every_algorithm
def test_every_length_comes_back(algorithms: EspAlgorithms) -> None:
    outbound, inbound = pair(algorithms)
    encryption = algorithms.encryption
    for length in (*range(70), 1400, 65000):
        payload = bytes(n & 255 for n in range(length))
        packet = outbound.seal(payload)
        assert inbound.open(packet) == payload
        text = len(packet) - 8 - encryption.iv - algorithms.icv_length
        assert length + 2 <= text < length + 2 + encryption.alignment
        assert text % encryption.alignment == 0
    assert outbound.packets == inbound.packets == 72
    assert outbound.octets == inbound.octets
    assert inbound.drops == {}


@every_algorithm
def test_octets_count_what_was_encrypted(algorithms: EspAlgorithms) -> None:
    outbound, inbound = pair(algorithms)
    packet = outbound.seal(bytes(100))
    inbound.open(packet)
    encrypted = len(packet) - 8 - algorithms.encryption.iv - algorithms.icv_length
    assert outbound.octets == inbound.octets == encrypted


@every_algorithm
def test_header(algorithms: EspAlgorithms) -> None:
    outbound, _ = pair(algorithms)
    for sequence in (1, 2, 3):
        assert outbound.seal(b"payload")[:8] == SPI.to_bytes(4) + sequence.to_bytes(4)


@every_algorithm
def test_any_kind_of_octets(algorithms: EspAlgorithms) -> None:
    outbound, inbound = pair(algorithms)
    for kind in (bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))):
        packet = outbound.seal(kind(b"payload"))
        opened = inbound.open(kind(packet))
        assert type(packet) is type(opened) is bytes
        assert opened == b"payload"


@every_algorithm
def test_order_and_loss_do_not_matter(algorithms: EspAlgorithms) -> None:
    outbound, _ = pair(algorithms)
    payloads = [b"first", b"second " * 5, b"", b"fourth"]
    packets = [outbound.seal(payload) for payload in payloads]
    for order in permutations(range(4), 3):
        _, inbound = pair(algorithms)
        assert [inbound.open(packets[n]) for n in order] == [payloads[n] for n in order]


@every_algorithm
def test_each_changed_octet_is_noticed_and_changes_nothing(algorithms: EspAlgorithms) -> None:
    outbound, inbound = pair(algorithms)
    packet = outbound.seal(b"payload")
    for position in range(len(packet)):
        for bit in (1, 128):
            changed = bytearray(packet)
            changed[position] ^= bit
            never_sent = int.from_bytes(changed[4:8]) == 0
            expected = DropReason.REPLAYED if never_sent else DropReason.BAD_ICV
            assert reason(inbound, bytes(changed)) is expected
    assert inbound.window.right_edge == 0
    assert inbound.open(packet) == b"payload"


@every_algorithm
def test_lengths_that_cannot_be(algorithms: EspAlgorithms) -> None:
    outbound, inbound = pair(algorithms)
    packet = outbound.seal(bytes(40))
    drafts = [algorithms.icv_length - other for other in algorithms.icv_lengths[1:]]
    for length in range(len(packet)):
        if len(packet) - length in drafts:  # then it is whole: see test_icv_length.py
            continue
        cut = packet[:length]
        text = length - 8 - algorithms.encryption.iv - algorithms.icv_length
        whole = text >= 2 and text % algorithms.encryption.alignment == 0
        assert reason(inbound, cut) is (DropReason.BAD_ICV if whole else DropReason.BAD_LENGTH)
    assert inbound.open(packet) == bytes(40)


@every_algorithm
def test_replays(algorithms: EspAlgorithms) -> None:
    outbound, inbound = pair(algorithms)
    packets = [outbound.seal(b"payload") for _ in range(65)]
    inbound.open(packets[1])
    assert reason(inbound, packets[1]) is DropReason.REPLAYED
    inbound.open(packets[64])
    assert reason(inbound, packets[0]) is DropReason.TOO_OLD
    assert reason(inbound, packets[1]) is DropReason.REPLAYED
    assert inbound.open(packets[2]) == b"payload"
    assert inbound.packets == 3


@every_algorithm
def test_another_key_is_noticed(algorithms: EspAlgorithms) -> None:
    outbound, _ = pair(algorithms)
    encryption_key, authentication_key = (bytes(len(key)) for key in keys(algorithms))
    inbound = InboundSa(SPI, algorithms, encryption_key, authentication_key)
    assert reason(inbound, outbound.seal(b"payload")) is DropReason.BAD_ICV


@pytest.mark.parametrize(
    ("plaintext", "why"),
    [
        (b"ab\x03\x11", DropReason.BAD_PADDING),
        (b"\xff\xff\xff\x11", DropReason.BAD_PADDING),
        (b"abcd\x01\x03\x02\x11", DropReason.BAD_PADDING),
        (b"abcd\x00\x00\x02\x11", DropReason.BAD_PADDING),
        (b"abcd\x02\x01\x02\x11", DropReason.BAD_PADDING),
        (b"ab\xff\x3b", DropReason.BAD_PADDING),
        (b"ab\x00\x3b", DropReason.DUMMY),
        (b"abcd\x01\x02\x02\x3b", DropReason.DUMMY),
        (b"ab\x00\x06", DropReason.WRONG_PROTOCOL),
        (b"ab\x00\x00", DropReason.WRONG_PROTOCOL),
    ],
)
def test_trailers_that_are_wrong_but_authentic(plaintext: bytes, why: DropReason) -> None:
    _, inbound = pair(NULL)
    assert reason(inbound, null_packet(1, plaintext)) is why
    assert inbound.packets == 1
    assert reason(inbound, null_packet(1, plaintext)) is DropReason.REPLAYED


@pytest.mark.parametrize(
    ("plaintext", "payload"),
    [
        (b"\x01\x02\x02\x11", b""),
        (b"ab\x00\x11", b"ab"),
        (b"abc" + bytes(range(1, 256)) + b"\xff\x11", b"abc"),
        (b"abcdef" + bytes(range(1, 9)) + b"\x08\x11", b"abcdef"),
    ],
)
def test_padding_of_any_length_is_taken_off(plaintext: bytes, payload: bytes) -> None:
    _, inbound = pair(NULL)
    assert inbound.open(null_packet(1, plaintext)) == payload


def test_padding_does_not_reach_into_the_junk_before_cbc_plaintext() -> None:
    """16 octets of text claim 15 of padding; the IV is made so that junk supplies the missing 1."""
    context = Cipher(block_ciphers.AES(keys(AES)[0]), modes.ECB()).encryptor()
    iv = context.update(b"\1" * 16)
    outbound = outbound_with_iv(SPI, AES, *keys(AES), iv)
    outbound._trailers = (b"",) * 16  # the payload brings its own
    packet = outbound.seal(bytes(range(2, 16)) + b"\x0f\x11")
    assert packet[8:24] == iv
    _, inbound = pair(AES)
    assert reason(inbound, packet) is DropReason.BAD_PADDING


def test_ivs_do_not_repeat_for_equal_payloads() -> None:
    for algorithms in ALL_ALGORITHMS:
        if length := algorithms.encryption.iv:
            outbound, _ = pair(algorithms)
            ivs = {outbound.seal(b"the same")[8 : 8 + length] for _ in range(500)}
            assert len(ivs) == 500


def test_two_sas_with_other_entropy_have_other_ivs() -> None:
    one = OutboundSa(SPI, AES, *keys(AES), lambda n: bytes(n))
    other = OutboundSa(SPI, AES, *keys(AES), lambda n: b"\1" * n)
    assert one.seal(b"payload")[8:24] != other.seal(b"payload")[8:24]


@every_algorithm
def test_sequence_numbers_end(algorithms: EspAlgorithms) -> None:
    outbound, inbound = pair(algorithms)
    outbound.sequence = 2**32 - 2
    assert inbound.open(outbound.seal(b"last")) == b"last"
    octets = outbound.octets
    for _ in range(2):
        with pytest.raises(SequenceExhausted):
            outbound.seal(b"one too many")
    assert (outbound.packets, outbound.octets) == (2**32 - 1, octets)


@every_algorithm
def test_keys_of_wrong_lengths(algorithms: EspAlgorithms) -> None:
    encryption, authentication = keys(algorithms)
    for wrong in ((encryption + b"x", authentication), (encryption, authentication + b"x")):
        with pytest.raises(LocalError):
            InboundSa(SPI, algorithms, *wrong)
        with pytest.raises(LocalError):
            OutboundSa(SPI, algorithms, *wrong, bytes)


def test_algorithms_without_integrity_are_refused() -> None:
    with pytest.raises(LocalError):
        InboundSa(SPI, EspAlgorithms(EspTransform.AES_CBC, 128), bytes(16), b"")


def test_no_key_is_printed() -> None:
    outbound, inbound = pair(AES)
    for key in keys(AES):
        for printed in (repr(outbound), repr(inbound), str(astuple(AES))):
            assert key.hex() not in printed
            assert repr(key)[2:-1] not in printed
