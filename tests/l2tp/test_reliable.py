"""Reliable delivery (RFC 2661 section 5.8 and appendix A)."""

import pytest

from l2tp.config import L2tpConfig
from l2tp.constants import MessageType
from l2tp.reliable import Payload, ReliableChannel, Segment
from tests.support.l2tp import HELLO, message

CONFIG = L2tpConfig(host_name="test", receive_window=4)


def payload(number: int) -> Payload:
    return Payload(0, message(HELLO, bytes([number])))


def channel(peer_window: int = 4, config: L2tpConfig = CONFIG) -> ReliableChannel:
    made = ReliableChannel(config)
    made.set_peer_window(peer_window)
    return made


def sent(segments: list[Segment]) -> list[int]:
    return [segment.ns for segment in segments if segment.avps]


def zlb(nr: int) -> tuple[int, int, Payload]:
    return 0, nr, Payload(0, b"")


class TestReceiving:
    def test_in_order(self) -> None:
        ours = channel()
        assert ours.receive(0, 0, payload(0), 0.0) == [payload(0)]
        assert ours.receive(1, 0, payload(1), 0.0) == [payload(1)]

    def test_each_message_is_acknowledged_in_its_turn(self) -> None:
        ours = channel()
        ours.receive(0, 0, payload(0), 0.0)
        assert ours.segments_to_send(0.0) == [Segment(0, 0, 1, b"")]
        assert ours.segments_to_send(0.0) == []

    def test_a_message_that_goes_out_carries_the_acknowledgement(self) -> None:
        ours = channel()
        ours.receive(0, 0, payload(0), 0.0)
        ours.send(payload(9))
        assert ours.segments_to_send(0.0) == [Segment(0, 0, 1, payload(9).avps)]

    def test_a_message_that_cannot_go_out_does_not_hold_back_the_acknowledgement(self) -> None:
        ours = channel(peer_window=1)
        ours.send(payload(8))
        ours.segments_to_send(0.0)
        ours.send(payload(9))
        ours.receive(0, 0, payload(0), 0.0)
        assert ours.segments_to_send(0.0) == [Segment(0, 1, 1, b"")]

    def test_a_zlb_is_not_acknowledged_and_takes_no_number(self) -> None:
        ours = channel()
        assert ours.receive(*zlb(0), 0.0) == []
        assert ours.segments_to_send(0.0) == []
        assert ours.receive(0, 0, payload(0), 0.0) == [payload(0)]

    def test_duplicates_are_acknowledged_and_dropped(self) -> None:
        ours = channel()
        ours.receive(0, 0, payload(0), 0.0)
        ours.segments_to_send(0.0)
        assert ours.receive(0, 0, payload(0), 0.0) == []
        assert ours.segments_to_send(0.0) == [Segment(0, 0, 1, b"")]

    def test_the_half_space_behind_counts_as_duplicate(self) -> None:
        """The RFC's example: after 15, 0 to 15 and 32784 to 65535 are old."""
        ours = channel()
        for number in range(16):
            ours.receive(number, 0, payload(number), 0.0)
        for old in (0, 15, 32784, 65535):
            assert ours.receive(old, 0, payload(0), 0.0) == []
        assert ours.receive(16, 0, payload(16), 0.0) == [payload(16)]

    def test_out_of_order_within_the_window(self) -> None:
        ours = channel()
        for early in (3, 1, 2):
            assert ours.receive(early, 0, payload(early), 0.0) == []
            assert ours.segments_to_send(0.0) == [Segment(0, 0, 0, b"")]
        assert ours.receive(0, 0, payload(0), 0.0) == [payload(n) for n in range(4)]
        assert ours.segments_to_send(0.0) == [Segment(0, 0, 4, b"")]

    def test_beyond_the_window_is_dropped(self) -> None:
        ours = channel()
        assert ours.receive(4, 0, payload(4), 0.0) == []
        for number in range(4):
            assert ours.receive(number, 0, payload(number), 0.0) == [payload(number)]
        assert ours.receive(4, 0, payload(5), 0.0) == [payload(5)], "the early one is forgotten"

    def test_numbers_wrap(self) -> None:
        ours = channel()
        for number in range(0x10000):
            assert ours.receive(number, 0, payload(1), 0.0) == [payload(1)]
        assert ours.receive(1, 0, payload(3), 0.0) == []
        assert ours.receive(0, 0, payload(2), 0.0) == [payload(2), payload(3)]

    @pytest.mark.parametrize("nr", [1, 2, 0x7FFF])
    def test_what_acknowledges_the_future_is_ignored(self, nr: int) -> None:
        ours = channel()
        assert ours.receive(0, nr, payload(0), 0.0) is None
        assert ours.segments_to_send(0.0) == []
        assert ours.receive(0, 0, payload(0), 0.0) == [payload(0)]

    def test_an_old_nr_does_not_matter(self) -> None:
        ours = channel()
        ours.send(payload(0))
        ours.segments_to_send(0.0)
        ours.receive(*zlb(1), 0.0)
        assert ours.receive(0, 0, payload(0), 0.0) == [payload(0)]


class TestSending:
    def test_slow_start(self) -> None:
        """Appendix A: the window opens by one with each acknowledgement."""
        ours = channel(peer_window=8)
        for number in range(12):
            ours.send(payload(number))
        assert sent(ours.segments_to_send(0.0)) == [0]
        ours.receive(*zlb(1), 0.0)
        assert sent(ours.segments_to_send(0.0)) == [1, 2]
        ours.receive(*zlb(2), 0.0)
        assert sent(ours.segments_to_send(0.0)) == [3, 4]
        ours.receive(*zlb(5), 0.0)
        assert sent(ours.segments_to_send(0.0)) == [5, 6, 7, 8]

    def test_never_more_than_the_peers_window(self) -> None:
        ours = channel(peer_window=2)
        for number in range(10):
            ours.send(payload(number))
        highest = []
        for acknowledged in range(8):
            ours.receive(*zlb(acknowledged), 0.0)
            highest += sent(ours.segments_to_send(0.0))[-1:]
        assert highest == [0, 2, 3, 4, 5, 6, 7, 8]

    def test_window_of_one(self) -> None:
        """Android: nothing goes out before the last message is acknowledged."""
        ours = channel(peer_window=1)
        for number in range(3):
            ours.send(payload(number))
        for nr in range(3):
            assert sent(ours.segments_to_send(0.0)) == [nr]
            assert ours.segments_to_send(0.0) == []
            ours.receive(*zlb(nr + 1), 0.0)
        assert ours.drained

    def test_congestion_avoidance(self) -> None:
        """Appendix A: above SSTHRESH the window opens by one in a window of acknowledgements."""
        ours = channel(peer_window=8)
        for number in range(40):
            ours.send(payload(number))
        acknowledged = 0
        while acknowledged < 7:  # the congestion window is eight now
            ours.segments_to_send(0.0)
            acknowledged += 1
            ours.receive(*zlb(acknowledged), 0.0)
        ours.segments_to_send(0.0)
        ours.handle_timeout(1.0)  # SSTHRESH is four, the window one
        in_flight = sent(ours.segments_to_send(1.0))
        windows = []
        for _ in range(11):
            windows.append(len(in_flight))
            acknowledged += 1
            ours.receive(*zlb(acknowledged), 1.0)
            in_flight = in_flight[1:] + sent(ours.segments_to_send(1.0))
        assert windows == [1, 2, 3, 4, 4, 4, 4, 5, 5, 5, 5]

    def test_back_off_and_end(self) -> None:
        """Section 5.8: 1, 2, 4, 8 s, then the cap; after the fifth time it is over."""
        ours = channel()
        ours.send(payload(0))
        times = []
        now = 0.0
        while not ours.failed:
            assert sent(ours.segments_to_send(now)) == [0]
            times.append(now)
            assert ours.deadline is not None
            ours.handle_timeout(ours.deadline - 0.001)
            assert ours.segments_to_send(now) == []
            now = ours.deadline
            ours.handle_timeout(now)
        assert times == [0, 1, 3, 7, 15, 23]
        assert now == CONFIG.retransmission_cycle == 31
        assert ours.oldest_type is MessageType.HELLO

    def test_a_retransmission_has_the_same_ns_and_the_latest_nr(self) -> None:
        ours = channel()
        ours.send(payload(0))
        assert ours.segments_to_send(0.0) == [Segment(0, 0, 0, payload(0).avps)]
        ours.receive(0, 0, payload(9), 0.5)
        ours.segments_to_send(0.5)
        ours.handle_timeout(1.0)
        assert ours.segments_to_send(1.0) == [Segment(0, 0, 1, payload(0).avps)]

    def test_an_acknowledgement_ends_the_back_off(self) -> None:
        ours = channel()
        ours.send(payload(0))
        ours.segments_to_send(0.0)
        ours.handle_timeout(1.0)
        ours.segments_to_send(1.0)
        assert ours.deadline == 3.0
        ours.receive(*zlb(1), 1.5)
        assert ours.deadline is None
        ours.send(payload(1))
        ours.segments_to_send(2.0)
        assert ours.deadline == 3.0

    def test_a_late_acknowledgement_of_all_stops_the_retransmission_of_all(self) -> None:
        ours = channel()
        for number in range(4):
            ours.send(payload(number))
        ours.segments_to_send(0.0)
        ours.receive(*zlb(1), 0.0)
        assert sent(ours.segments_to_send(0.0)) == [1, 2]
        ours.handle_timeout(1.0)
        assert sent(ours.segments_to_send(1.0)) == [1]
        ours.receive(*zlb(3), 1.1)
        assert sent(ours.segments_to_send(1.1)) == [3]

    def test_what_the_peer_threw_away_is_sent_again(self) -> None:
        ours = channel()
        for number in range(4):
            ours.send(payload(number))
        ours.segments_to_send(0.0)
        ours.receive(*zlb(1), 0.0)
        ours.segments_to_send(0.0)  # 1 and 2; 1 is lost, and the peer drops what is early
        ours.handle_timeout(1.0)
        ours.segments_to_send(1.0)
        ours.receive(*zlb(2), 1.1)
        assert sent(ours.segments_to_send(1.1)) == [2, 3]

    def test_the_queue_is_bounded(self) -> None:
        config = L2tpConfig(host_name="test", send_queue=3)
        ours = channel(config=config)
        for number in range(3):
            ours.send(payload(number))
        assert not ours.failed
        ours.send(payload(3))
        assert ours.failed

    def test_discarding_what_never_went_out(self) -> None:
        ours = channel()
        for number in range(3):
            ours.send(payload(number))
        ours.segments_to_send(0.0)
        ours.discard_unsent()
        ours.send(payload(9))
        ours.receive(*zlb(1), 0.0)
        assert ours.segments_to_send(0.0) == [Segment(0, 1, 0, payload(9).avps)]

    def test_discarding_all_keeps_the_numbers(self) -> None:
        ours = channel()
        ours.send(payload(0))
        ours.send(payload(1))
        ours.segments_to_send(0.0)
        ours.discard_all()
        assert ours.drained
        assert ours.deadline is None
        ours.receive(0, 0, payload(0), 0.0)
        assert ours.segments_to_send(0.0) == [Segment(0, 1, 1, b"")]
