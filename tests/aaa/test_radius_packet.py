"""RADIUS packets, held against the examples of RFC 2865 and against pyrad."""

from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrad import packet as pyrad
from pyrad.dictionary import Dictionary

from aaa.radius.constants import AttributeType, Code
from aaa.radius.packet import (
    Attribute,
    Attributes,
    Packet,
    access_request,
    answers,
    hidden_password,
    is_signed,
    proves,
    response,
    signed_request,
)
from tests.support.vectors import load
from wire import DecodeError, LocalError

SECRET = b"xyzzy5461"
AUTHENTICATOR = bytes(range(16))
USER = Attribute.text(AttributeType.USER_NAME, "nemo")

EXAMPLES = [
    bytes.fromhex(example["packet"]) for example in load("rfc2865_examples.json")["packets"]
]
MISPRINTED = EXAMPLES[6]
"""Section 7.3: the length of State is written 10, which is right in decimal, and means 16."""
EXAMPLES[6] = MISPRINTED.replace(b"\x18\x10", b"\x18\x0a")
REQUESTS, RESPONSES = EXAMPLES[::2], EXAMPLES[1::2]


@pytest.mark.parametrize("octets", EXAMPLES, ids=range(8))
def test_the_examples_of_the_rfc_are_read_and_built(octets: bytes) -> None:
    assert Packet.parse(octets).build() == octets


@pytest.mark.parametrize(
    ("request_octets", "answer"), list(zip(REQUESTS, RESPONSES, strict=True)), ids=range(4)
)
def test_the_answers_of_the_rfc_are_believed(request_octets: bytes, answer: bytes) -> None:
    asked = Packet.parse(request_octets).authenticator
    packet = Packet.parse(answer)
    assert answers(packet, asked, SECRET)
    assert not answers(packet, asked, b"another secret")
    assert not answers(packet, bytes(16), SECRET)
    assert proves(packet, asked, SECRET) is None


def test_the_password_of_the_rfc_is_hidden() -> None:
    packet = Packet.parse(REQUESTS[0])
    hidden = packet.attributes.first(AttributeType.USER_PASSWORD)
    assert hidden_password(b"arctangent", packet.authenticator, SECRET) == hidden


def test_what_the_rfc_sends_in_its_answers() -> None:
    attributes = Packet.parse(RESPONSES[1]).attributes
    assert attributes.number(AttributeType.FRAMED_MTU) == 1500
    assert str(attributes.address(AttributeType.FRAMED_IP_ADDRESS)) == "255.255.255.254"
    challenge = Packet.parse(RESPONSES[2]).attributes
    assert challenge.text(AttributeType.REPLY_MESSAGE) == (
        "Challenge 32769430.  Enter response at prompt."
    )


@pytest.mark.parametrize(
    "password", [b"", b"a", b"fifteen octets!", b"16 octets are it", b"x" * 128]
)
def test_pyrad_reads_the_password(password: bytes) -> None:
    request = access_request(
        7, AUTHENTICATOR, [USER, Attribute(AttributeType.USER_PASSWORD, password)], SECRET
    )
    seen = pyrad.AuthPacket(packet=request, secret=SECRET, dict=Dictionary())
    assert seen.PwDecrypt(seen[2][0]) == password.decode()
    assert seen.verify_message_authenticator()


def test_pyrad_believes_our_signed_requests() -> None:
    octets = signed_request(Code.ACCOUNTING_REQUEST, 9, [USER], SECRET)
    assert pyrad.AcctPacket(packet=octets, secret=SECRET, dict=Dictionary()).VerifyAcctRequest()
    octets = signed_request(Code.COA_REQUEST, 9, [USER], SECRET)
    seen = pyrad.CoAPacket(packet=octets, secret=SECRET, dict=Dictionary())
    assert seen.VerifyCoARequest()
    assert is_signed(Packet.parse(octets), SECRET)
    assert not is_signed(Packet.parse(octets), b"another secret")


def test_pyrad_believes_our_answers_and_we_its() -> None:
    theirs = pyrad.CoAPacket(secret=SECRET, dict=Dictionary(), id=3)
    asked = Packet.parse(theirs.RequestPacket())
    assert is_signed(asked, SECRET)
    ours = response(Code.COA_ACK, 3, asked.authenticator, [], SECRET)
    assert theirs.VerifyReply(pyrad.Packet(packet=ours, dict=Dictionary()), ours)

    request = access_request(5, AUTHENTICATOR, [USER], SECRET)
    seen = pyrad.AuthPacket(packet=request, secret=SECRET, dict=Dictionary())
    reply = seen.CreateReply()
    reply.code = pyrad.AccessAccept
    reply.add_message_authenticator()
    packet = Packet.parse(reply.ReplyPacket())
    assert answers(packet, AUTHENTICATOR, SECRET)
    assert proves(packet, AUTHENTICATOR, SECRET)


def test_a_forged_message_authenticator_is_seen_though_the_signature_fits() -> None:
    """The attack of CVE-2024-3596 makes the MD5 fit; it cannot make the HMAC fit."""
    attributes = Attributes([Attribute(AttributeType.MESSAGE_AUTHENTICATOR, bytes(16))])
    blank = Packet(Code.ACCESS_ACCEPT, 1, AUTHENTICATOR, attributes)
    signature = md5(blank.build() + SECRET).digest()
    forged = Packet(Code.ACCESS_ACCEPT, 1, signature, attributes)
    assert proves(forged, AUTHENTICATOR, SECRET) is False
    assert not answers(forged, AUTHENTICATOR, SECRET)


@pytest.mark.parametrize("sizes", [(0,), (15,), (17,), (16, 16), (0,) * (4076 // 2)])
def test_a_misshapen_message_authenticator_proves_nothing(sizes: tuple[int, ...]) -> None:
    """Nor does it do harm, when the rest of the packet leaves no room for a proper one."""
    kind = AttributeType.MESSAGE_AUTHENTICATOR
    attributes = Attributes(Attribute(kind, bytes(size)) for size in sizes)
    unsigned = Packet(Code.ACCESS_ACCEPT, 1, AUTHENTICATOR, attributes)
    signature = md5(unsigned.build() + SECRET).digest()
    signed = Packet(Code.ACCESS_ACCEPT, 1, signature, attributes)
    assert not answers(signed, AUTHENTICATOR, SECRET)


def test_no_password_is_shown() -> None:
    assert "hunter2" not in repr(Attribute(AttributeType.USER_PASSWORD, b"hunter2"))


@pytest.mark.parametrize(
    "octets",
    [
        MISPRINTED,
        b"",
        b"\x02\x01\x00\x13" + bytes(15),
        b"\x02\x01\x10\x01" + bytes(4093),
        b"\x02\x01\x00\x20" + bytes(16),
        b"\x02\x01\x00\x16" + bytes(16) + b"\x01\x01",
        b"\x02\x01\x00\x16" + bytes(16) + b"\x01\x00",
        b"\x02\x01\x00\x17" + bytes(16) + b"\x01\x04a",
    ],
)
def test_malformed_packets(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        Packet.parse(octets)


def test_octets_behind_the_length_are_padding() -> None:
    octets = response(Code.ACCESS_REJECT, 1, AUTHENTICATOR, [USER], SECRET)
    assert answers(Packet.parse(octets + b"padding"), AUTHENTICATOR, SECRET)


def test_what_does_not_fit_is_our_own_fault() -> None:
    with pytest.raises(LocalError):
        Attribute(AttributeType.CLASS, bytes(254)).build()
    with pytest.raises(LocalError):
        access_request(1, AUTHENTICATOR, [Attribute(AttributeType.CLASS, bytes(253))] * 17, SECRET)


@given(st.binary(max_size=300))
def test_random_octets(octets: bytes) -> None:
    try:
        packet = Packet.parse(octets)
    except DecodeError:
        return
    assert packet.build() == octets[: len(packet.build())]
    assert not answers(packet, AUTHENTICATOR, SECRET)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=253)), max_size=8))
def test_attributes_come_back(listed: list[tuple[int, bytes]]) -> None:
    attributes = Attributes(Attribute(*entry) for entry in listed)
    assert Attributes.parse(attributes.build()) == attributes


def test_numbers_of_a_wrong_size() -> None:
    attributes = Attributes([Attribute(AttributeType.SESSION_TIMEOUT, b"\x01")])
    with pytest.raises(DecodeError):
        attributes.number(AttributeType.SESSION_TIMEOUT)
    assert attributes.number(AttributeType.IDLE_TIMEOUT) is None
