"""ESP and its replay window under any input."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ipsec.algorithms import EspAlgorithms
from ipsec.esp import DropReason, EspError, InboundSa
from ipsec.replay import ReplayWindow
from tests.support.esp import ALL_ALGORITHMS, SPI, keys, pair

algorithms = st.sampled_from(ALL_ALGORITHMS)
payloads = st.binary(max_size=200)


@given(algorithms, st.binary(max_size=400))
def test_random_octets_raise_nothing_else(chosen: EspAlgorithms, packet: bytes) -> None:
    inbound = InboundSa(SPI, chosen, *keys(chosen))
    with pytest.raises(EspError):
        inbound.open(packet)
    assert inbound.window.right_edge == 0
    assert sum(inbound.drops.values()) == 1


@given(algorithms, payloads, st.data())
def test_changed_packets_raise_nothing_else(
    chosen: EspAlgorithms, payload: bytes, data: st.DataObject
) -> None:
    outbound, inbound = pair(chosen)
    packet = outbound.seal(payload)
    position = data.draw(st.integers(0, len(packet) - 1))
    changed = bytearray(packet)
    changed[position] ^= data.draw(st.integers(1, 255))
    cut = packet[: max(0, position - 16)]  # by more than from one length of ICV to another
    for broken in (bytes(changed), cut, packet + bytes(changed[:position]) + b"x"):
        with pytest.raises(EspError):
            inbound.open(broken)
    assert inbound.open(packet) == payload


@given(algorithms, st.lists(payloads, max_size=8), st.randoms(use_true_random=False))
def test_any_order_opens(chosen: EspAlgorithms, sent: list[bytes], random: Random) -> None:
    outbound, inbound = pair(chosen)
    packets = [(payload, outbound.seal(payload)) for payload in sent]
    random.shuffle(packets)
    for payload, packet in packets:
        assert inbound.open(packet) == payload
        with pytest.raises(EspError) as dropped:
            inbound.open(packet)
        assert dropped.value.reason is DropReason.REPLAYED


class ReplayMachine(RuleBasedStateMachine):
    """The window against a set that remembers everything."""

    def __init__(self) -> None:
        super().__init__()
        self.window = ReplayWindow(32)
        self.received: set[int] = {0}

    def receive(self, sequence: int) -> None:
        in_window = sequence > max(self.received) - 32
        fresh = in_window and sequence not in self.received
        assert self.window.check(sequence) is fresh
        if fresh:
            self.window.update(sequence)
            self.received.add(sequence)

    @rule(step=st.integers(1, 40))
    def ahead(self, step: int) -> None:
        self.receive(min(max(self.received) + step, 2**32 - 1))

    @rule(step=st.integers(0, 40))
    def behind(self, step: int) -> None:
        self.receive(max(max(self.received) - step, 0))

    @rule(sequence=st.integers(0, 2**32 - 1))
    def anywhere(self, sequence: int) -> None:
        self.receive(sequence)

    @invariant()
    def edges(self) -> None:
        newest = max(self.received)
        assert self.window.right_edge == newest
        assert self.window.left_edge == max(0, newest - 31)


TestReplayMachine = ReplayMachine.TestCase
