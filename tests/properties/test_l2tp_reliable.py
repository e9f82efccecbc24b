"""The reliable channel (RFC 2661 section 5.8) as a state machine: whatever the network does,
each message is delivered once and in order, and all are delivered once the network lets them."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from l2tp.config import L2tpConfig
from l2tp.reliable import Payload, ReliableChannel, Segment

CONFIG = L2tpConfig(host_name="x", receive_window=4, max_retransmissions=1000)
ENDS = st.sampled_from([0, 1])


class TwoChannels(RuleBasedStateMachine):
    """Two ends, and a network that keeps every segment and delivers it when and as often as it
    likes, which is loss, delay, reordering and duplication in one."""

    segments = Bundle("segments")

    def __init__(self) -> None:
        super().__init__()
        self.ends = [ReliableChannel(CONFIG), ReliableChannel(CONFIG)]
        for end in self.ends:
            end.set_peer_window(4)
        self.now = 0.0
        self.sent: list[list[bytes]] = [[], []]
        self.delivered: list[list[bytes]] = [[], []]
        self.highest = [0, 0]
        self.acknowledged = [0, 0]

    def put_on_wire(self, end: int) -> list[tuple[int, Segment]]:
        segments = self.ends[end].segments_to_send(self.now)
        for segment in segments:
            if segment.avps:
                self.highest[end] = max(self.highest[end], segment.ns + 1)
        return [(1 - end, segment) for segment in segments]

    def take_from_wire(self, end: int, segment: Segment) -> None:
        payload = Payload(segment.session_id, segment.avps)
        got = self.ends[end].receive(segment.ns, segment.nr, payload, self.now)
        assert got is not None, "no Nr of an honest peer acknowledges the future"
        self.acknowledged[end] = max(self.acknowledged[end], segment.nr)
        self.delivered[end] += [one.avps for one in got]

    @rule(target=segments, end=ENDS)
    def send(self, end: int) -> tuple[tuple[int, Segment], ...]:
        if len(self.sent[end]) - self.acknowledged[end] < CONFIG.send_queue:
            message = f"{end} {len(self.sent[end])}".encode()
            self.sent[end].append(message)
            self.ends[end].send(Payload(0, message))
        return tuple(self.put_on_wire(end))

    @rule(target=segments, chosen=segments)
    def deliver(self, chosen: tuple[tuple[int, Segment], ...]) -> tuple[tuple[int, Segment], ...]:
        answers: list[tuple[int, Segment]] = []
        for end, segment in chosen:
            self.take_from_wire(end, segment)
            out = self.put_on_wire(end)
            assert out or not segment.avps, "what is not a ZLB is acknowledged at once"
            answers += out
        return tuple(answers)

    @rule(target=segments, end=ENDS)
    def time_out(self, end: int) -> tuple[tuple[int, Segment], ...]:
        deadline = self.ends[end].deadline
        if deadline is None:
            return ()
        self.now = max(self.now, deadline)
        self.ends[end].handle_timeout(self.now)
        return tuple(self.put_on_wire(end))

    @invariant()
    def in_order_and_once(self) -> None:
        for end in (0, 1):
            got = self.delivered[end]
            assert got == self.sent[1 - end][: len(got)]

    @invariant()
    def within_the_window(self) -> None:
        for end in (0, 1):
            assert self.highest[end] - self.acknowledged[end] <= 4

    @invariant()
    def somebody_watches(self) -> None:
        for end in self.ends:
            assert end.drained == (end.deadline is None)
            assert not end.failed

    def teardown(self) -> None:
        """Give the network a good hour: everything must arrive."""
        for _ in range(2000):
            on_wire = []
            for end in (0, 1):
                deadline = self.ends[end].deadline
                if deadline is not None:
                    self.now = max(self.now, deadline)
                    self.ends[end].handle_timeout(self.now)
                on_wire += self.put_on_wire(end)
            while on_wire:
                end, segment = on_wire.pop(0)
                self.take_from_wire(end, segment)
                on_wire += self.put_on_wire(end)
            if all(end.drained for end in self.ends):
                break
        assert self.delivered == [self.sent[1], self.sent[0]]


TwoChannels.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestTwoChannels = TwoChannels.TestCase
