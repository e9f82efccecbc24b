"""What we send, as independent dissectors read it: tshark and scapy."""

from collections.abc import Iterator
from itertools import count

import pytest
from scapy.layers.l2tp import L2TP

from l2tp.config import L2tpConfig
from l2tp.constants import CallResult
from l2tp.events import Call, Proxy, SessionOpened
from l2tp.lac import Lac
from l2tp.lns import Lns
from l2tp.values import DisconnectCause
from tests.support.l2tp import entropy, events
from tests.support.tshark import RAW_IP, dissect, malformed, udp

FRAME = bytes.fromhex("ff03c0210101000a050612345678")
CALL = Call(
    serial_number=7,
    tx_speed=64000,
    rx_speed=128000,
    framing_type=1,
    bearer_type=2,
    calling_number="123",
    called_number="456",
    sub_address="7",
    physical_channel=3,
    private_group="group",
)
PROXY = Proxy(
    initial_received_confreq=bytes.fromhex("010405dc"),
    authen_name=b"alice",
    authen_challenge=b"challenge",
    authen_id=1,
    authen_response=b"response",
)


def conversation(secret: bytes | None, sequencing: bool = False) -> Iterator[bytes]:
    """Yield all that both ends send in a session from SCCRQ to StopCCN, as IP packets."""
    config = L2tpConfig(
        host_name="host.example",
        secret=secret,
        require_authentication=secret is not None,
        hide_avps=secret is not None,
    )
    lns, lac = Lns(config, entropy(1).randbytes), Lac(config, entropy(2).randbytes)

    def exchange(now: float) -> Iterator[bytes]:
        for turn in count():
            sender, receiver = (lac, lns) if turn % 2 == 0 else (lns, lac)
            datagrams = sender.datagrams_to_send()
            if not datagrams and turn > 1:
                return
            for datagram in datagrams:
                yield udp(datagram.data, 1701, 1701)
                receiver.receive(datagram.data, "flow", now)

    tunnel = lac.connect("flow", 0.0, tie_breaker=5)
    session = lac.call(tunnel, CALL, 0.0, PROXY, sequencing)
    second = lac.call(tunnel, CALL, 0.0)
    yield from exchange(0.0)
    assert len([event for event in events(lns) if isinstance(event, SessionOpened)]) == 2
    lac.send(session, FRAME)
    lac.send(second, FRAME)
    yield from exchange(1.0)
    lns.handle_timeout(61.0)
    yield from exchange(61.0)
    cause = DisconnectCause(3, 0, 1, "bye")
    lac.close_session(session, CallResult.BUSY, message="busy", now=62.0, cause=cause)
    yield from exchange(62.0)
    lns.close_all(63.0)
    yield from exchange(63.0)
    assert lns.drained
    assert lac.drained


VARIANTS = pytest.mark.parametrize(
    ("secret", "sequencing"), [(None, False), (None, True), (b"s3cr3t", False)]
)


@VARIANTS
def test_tshark_objects_to_nothing(secret: bytes | None, sequencing: bool) -> None:
    packets = list(conversation(secret, sequencing))
    assert malformed(packets, RAW_IP) == []
    kinds = dissect(packets, RAW_IP, "-T", "fields", "-e", "l2tp.avp.message_type", "-Y", "l2tp")
    seen = {int(kind) for kind in kinds if kind}
    assert seen == {1, 2, 3, 4, 6, 10, 11, 12, 14}


def test_tshark_finds_what_is_malformed() -> None:
    broken = bytes.fromhex("c8020018000000000000000080080000000000018001000000020100")
    assert malformed([udp(broken, 1701, 1701)], RAW_IP)


@VARIANTS
def test_scapy_reads_the_same_headers(secret: bytes | None, sequencing: bool) -> None:
    control = data = 0
    for packet in conversation(secret, sequencing):
        octets = packet[28:]
        read = L2TP(octets)
        assert read.version == 2
        assert read.len == len(octets), "control and data alike have L"
        if read.hdr & 0x800:
            control += 1
            assert read.ns is not None
        else:
            data += 1
            assert bytes(read.payload).endswith(FRAME[2:])
            assert (read.ns is not None) == (sequencing and data == 1)
    assert control > 10
    assert data == 2
