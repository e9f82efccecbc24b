"""The automaton's packets, timers and counters: RFC 1661 sections 4.3 to 4.6 and 5.1 to 5.6."""

from collections.abc import Sequence

import pytest

from ppp.automaton import REFUSALS, Automaton
from ppp.config import LinkConfig
from ppp.constants import Code, Protocol
from ppp.events import Reason
from ppp.packet import Option, Packet, build_options
from ppp.transitions import State
from wire import DecodeError, LocalError

GOOD, BAD, UNKNOWN = 1, 2, 3
"""Toy options: acknowledged, Nak'd with "ok", rejected."""

CONFIG = LinkConfig(restart=3.0, max_configure=4, max_terminate=2, max_failure=3)


class Toy(Automaton):
    """A protocol with two options of its own."""

    protocol = Protocol.IPCP

    def __init__(self, link: "Recorder") -> None:
        super().__init__(CONFIG, link, 1.0)
        self.ours = [Option(GOOD, b"a"), Option(BAD, b"b")]
        self.accepted: Sequence[Option] = ()
        self.wants: list[Option] = []

    def request_options(self) -> list[Option]:
        return self.ours

    def judge(self, option: Option) -> Option | None:
        if option.type == BAD:
            return Option(BAD, b"ok")
        return option if option.type == GOOD else None

    def missing(self, options: Sequence[Option]) -> list[Option]:
        return self.wants

    def accept(self, options: Sequence[Option]) -> None:
        self.accepted = options

    def take_nak(self, options: Sequence[Option], now: float) -> None:
        self.ours = [Option(GOOD, b"a"), *options]

    def take_reject(self, options: Sequence[Option], now: float) -> None:
        self.ours = [option for option in self.ours if option not in options]


class Recorder:
    """Surroundings that remember."""

    def __init__(self, peer_mru: int = 1500) -> None:
        self.peer_mru = peer_mru
        self.log: list[str] = []
        self.sent: list[Packet] = []
        self.given_up: tuple[Reason, str] | None = None

    def send(self, protocol: Protocol, packet: Packet) -> None:
        self.sent.append(packet)
        self.log.append(str(Code(packet.code)))

    def layer_up(self, layer: Automaton, now: float) -> None:
        self.log.append("up")

    def layer_down(self, layer: Automaton, now: float) -> None:
        self.log.append("down")

    def layer_finished(self, layer: Automaton, now: float) -> None:
        self.log.append("finished")

    def give_up(self, reason: Reason, why: str, now: float) -> None:
        self.given_up = reason, why

    def take(self) -> list[str]:
        log, self.log = self.log, []
        return log


def packet(code: Code, identifier: int, *options: Option) -> Packet:
    return Packet(code, identifier, build_options(options))


REQUEST = packet(Code.CONFIGURE_REQUEST, 9, Option(GOOD, b"x"))


def started() -> tuple[Toy, Recorder]:
    link = Recorder()
    toy = Toy(link)
    toy.open(0.0)
    toy.up(0.0)
    assert link.take() == ["CONFIGURE_REQUEST"]
    return toy, link


def acknowledge(toy: Toy, link: Recorder, now: float = 0.0) -> None:
    request = [sent for sent in link.sent if sent.code == Code.CONFIGURE_REQUEST][-1]
    toy.receive(Packet(Code.CONFIGURE_ACK, request.identifier, request.data), now)


def opened() -> tuple[Toy, Recorder]:
    toy, link = started()
    acknowledge(toy, link)
    toy.receive(REQUEST, 0.0)
    assert toy.state is State.OPENED
    assert link.take() == ["CONFIGURE_ACK", "up"]
    return toy, link


def test_it_opens_whoever_is_first() -> None:
    toy, link = started()
    toy.receive(REQUEST, 0.0)
    assert link.take() == ["CONFIGURE_ACK"]
    acknowledge(toy, link)
    assert link.take() == ["up"]
    opened()


def test_an_ack_is_an_exact_copy() -> None:
    toy, link = started()
    options = (Option(GOOD, b"x"),)
    toy.receive(packet(Code.CONFIGURE_REQUEST, 200, *options), 0.0)
    assert link.sent[-1] == packet(Code.CONFIGURE_ACK, 200, *options)
    assert toy.accepted == options


def test_an_empty_request_is_acknowledged() -> None:
    toy, link = started()
    toy.receive(packet(Code.CONFIGURE_REQUEST, 0), 0.0)
    assert link.sent[-1] == Packet(Code.CONFIGURE_ACK, 0)


def test_all_that_is_to_be_rejected_is_rejected_at_once_and_in_order() -> None:
    toy, link = started()
    strange = [Option(UNKNOWN, b"1"), Option(77, b""), Option(GOOD, b"again")]
    toy.receive(
        packet(
            Code.CONFIGURE_REQUEST,
            5,
            strange[0],
            Option(GOOD, b"x"),
            Option(BAD, b"y"),
            *strange[1:],
        ),
        0.0,
    )
    assert link.sent[-1] == packet(Code.CONFIGURE_REJECT, 5, *strange)
    assert toy.accepted == ()


def test_a_nak_holds_the_unacceptable_options_only() -> None:
    toy, link = started()
    toy.receive(packet(Code.CONFIGURE_REQUEST, 5, Option(GOOD, b"x"), Option(BAD, b"y")), 0.0)
    assert link.sent[-1] == packet(Code.CONFIGURE_NAK, 5, Option(BAD, b"ok"))


def test_a_nak_prompts_for_what_is_missing() -> None:
    toy, link = started()
    toy.wants = [Option(GOOD, b"please")]
    toy.receive(packet(Code.CONFIGURE_REQUEST, 5), 0.0)
    assert link.sent[-1] == packet(Code.CONFIGURE_NAK, 5, Option(GOOD, b"please"))


def test_after_max_failure_naks_become_rejects_and_nothing_is_missing_any_more() -> None:
    toy, link = started()
    toy.wants = [Option(GOOD, b"please")]
    bad = packet(Code.CONFIGURE_REQUEST, 5, Option(BAD, b"y"))
    for _ in range(CONFIG.max_failure):
        toy.receive(bad, 0.0)
        assert link.sent[-1].code == Code.CONFIGURE_NAK
    toy.receive(bad, 0.0)
    assert link.sent[-1] == packet(Code.CONFIGURE_REJECT, 5, Option(BAD, b"y"))
    toy.receive(packet(Code.CONFIGURE_REQUEST, 6), 0.0)
    assert link.sent[-1].code == Code.CONFIGURE_ACK
    toy.receive(bad, 0.0)
    assert link.sent[-1].code == Code.CONFIGURE_NAK, "an Ack starts the count anew"


@pytest.mark.parametrize(
    ("code", "identifier", "data"),
    [
        (Code.CONFIGURE_ACK, 2, b"\x01\x03a\x02\x03b"),
        (Code.CONFIGURE_ACK, 1, b"\x01\x03a\x02\x03c"),
        (Code.CONFIGURE_ACK, 1, b"\x02\x03b\x01\x03a"),
        (Code.CONFIGURE_ACK, 1, b""),
        (Code.CONFIGURE_NAK, 0, b"\x02\x03c"),
        (Code.CONFIGURE_REJECT, 0, b"\x02\x03b"),
        (Code.CONFIGURE_REJECT, 1, b"\x02\x03c"),
        (Code.CONFIGURE_REJECT, 1, b"\x09\x02"),
    ],
)
def test_an_answer_that_does_not_fit_the_request_is_discarded(
    code: Code, identifier: int, data: bytes
) -> None:
    toy, link = started()
    toy.receive(Packet(code, identifier, data), 0.0)
    assert toy.state is State.REQ_SENT
    assert toy.ours == [Option(GOOD, b"a"), Option(BAD, b"b")]
    assert link.take() == []


def test_an_answer_counts_once() -> None:
    toy, link = opened()
    acknowledge(toy, link)
    toy.receive(packet(Code.CONFIGURE_NAK, 1, Option(BAD, b"late")), 0.0)
    assert toy.state is State.OPENED
    assert link.take() == []


def test_a_nak_is_followed_by_another_request() -> None:
    toy, link = started()
    toy.receive(packet(Code.CONFIGURE_NAK, 1, Option(BAD, b"better")), 0.0)
    assert link.sent[-1] == packet(
        Code.CONFIGURE_REQUEST, 2, Option(GOOD, b"a"), Option(BAD, b"better")
    )


def test_a_reject_is_followed_by_a_request_without() -> None:
    toy, link = started()
    toy.receive(packet(Code.CONFIGURE_REJECT, 1, Option(GOOD, b"a"), Option(BAD, b"b")), 0.0)
    assert link.sent[-1] == Packet(Code.CONFIGURE_REQUEST, 2)


def test_an_endless_refuser_is_given_up() -> None:
    toy, link = started()
    for _ in range(REFUSALS):
        toy.receive(packet(Code.CONFIGURE_NAK, link.sent[-1].identifier), 0.0)
    assert link.given_up is None
    toy.receive(packet(Code.CONFIGURE_NAK, link.sent[-1].identifier), 0.0)
    assert link.given_up
    assert link.given_up[0] is Reason.NOT_CONVERGED


def test_requests_are_repeated_ever_slower_with_the_same_identifier() -> None:
    toy, link = started()
    times = []
    while (due := toy.next_timeout()) is not None:
        times.append(due)
        toy.handle_timeout(due - 0.01)
        toy.handle_timeout(due)
    assert times == [1.0, 3.0, 6.0, 9.0]
    assert link.log == ["CONFIGURE_REQUEST"] * 3 + ["finished"]
    assert len(set(link.sent)) == 1
    assert toy.state is State.STOPPED
    assert toy.ending
    assert toy.ending[0] is Reason.NO_ANSWER


def test_the_identifier_changes_after_a_valid_answer() -> None:
    toy, link = started()
    acknowledge(toy, link)
    due = toy.next_timeout()
    assert due is not None
    toy.handle_timeout(due)
    assert toy.state is State.REQ_SENT, "acknowledged, but the peer asked for nothing in time"
    first, second = (sent for sent in link.sent if sent.code == Code.CONFIGURE_REQUEST)
    assert first.data == second.data
    assert first.identifier != second.identifier


def test_no_timer_runs_when_open() -> None:
    toy, _ = opened()
    assert toy.next_timeout() is None


def test_identifiers_wrap() -> None:
    toy, _ = started()
    assert [toy.next_identifier() for _ in range(256)] == [*range(2, 256), 0, 1]


def test_a_request_to_an_open_layer_begins_anew() -> None:
    toy, link = opened()
    toy.receive(REQUEST, 0.0)
    assert toy.state is State.ACK_SENT
    assert link.take() == ["down", "CONFIGURE_REQUEST", "CONFIGURE_ACK"]
    acknowledge(toy, link)
    assert link.take() == ["up"]


def test_the_peer_ends_the_layer_and_has_time_to_repeat_that() -> None:
    toy, link = opened()
    terminate = Packet(Code.TERMINATE_REQUEST, 77, b"User request\xff")
    toy.receive(terminate, 10.0)
    toy.receive(terminate, 11.0)
    assert link.take() == ["down", "TERMINATE_ACK", "TERMINATE_ACK"]
    assert link.sent[-1] == Packet(Code.TERMINATE_ACK, 77)
    assert toy.next_timeout() == 13.0
    toy.handle_timeout(13.0)
    assert link.take() == ["finished"]
    assert toy.ending == (Reason.PEER_TERMINATED, r"the peer ended IPCP: 'User request\\xff'")


def test_closing_waits_for_the_peer_but_not_for_ever() -> None:
    toy, link = opened()
    toy.close(Reason.LOCALLY_TERMINATED, "good night", 10.0)
    assert link.take() == ["down", "TERMINATE_REQUEST"]
    assert link.sent[-1].data == b"good night"
    toy.handle_timeout(11.0)
    toy.handle_timeout(13.0)
    assert link.take() == ["TERMINATE_REQUEST", "finished"]
    assert toy.state is State.CLOSED


def test_closing_ends_with_the_ack() -> None:
    toy, link = opened()
    toy.close(Reason.LOCALLY_TERMINATED, "", 10.0)
    toy.receive(Packet(Code.TERMINATE_REQUEST, 3), 10.0)
    toy.receive(Packet(Code.TERMINATE_ACK, 2), 10.0)
    assert link.take() == ["down", "TERMINATE_REQUEST", "TERMINATE_ACK", "finished"]
    assert toy.ending == (Reason.LOCALLY_TERMINATED, "")
    assert toy.next_timeout() is None


def test_a_stray_terminate_ack_means_that_the_peer_wants_to_begin_anew() -> None:
    toy, link = opened()
    toy.receive(Packet(Code.TERMINATE_ACK, 1), 0.0)
    assert link.take() == ["down", "CONFIGURE_REQUEST"]
    assert toy.state is State.REQ_SENT


def test_an_unknown_code_is_rejected_with_a_copy_that_fits_the_mru() -> None:
    link = Recorder(peer_mru=20)
    toy = Toy(link)
    toy.open(0.0)
    toy.up(0.0)
    strange = Packet(99, 7, bytes(range(100)))
    toy.receive(strange, 0.0)
    rejects = [sent for sent in link.sent if sent.code == Code.CODE_REJECT]
    assert [reject.data for reject in rejects] == [strange.build()[:16]]
    assert len(rejects[0].build()) == 20


@pytest.mark.parametrize("code", range(1, 8))
def test_without_the_basic_codes_there_is_no_protocol(code: int) -> None:
    toy, link = opened()
    toy.receive(Packet(Code.CODE_REJECT, 1, bytes([code, 0, 0, 4])), 0.0)
    assert link.take() == ["down", "TERMINATE_REQUEST"]
    assert toy.state is State.STOPPING
    assert toy.ending
    assert toy.ending[0] is Reason.PROTOCOL_REJECTED


def test_the_reject_of_an_extended_code_changes_nothing() -> None:
    toy, link = opened()
    toy.receive(Packet(Code.CODE_REJECT, 1, bytes([12, 0, 0, 4])), 0.0)
    assert toy.state is State.OPENED
    assert link.take() == []


@pytest.mark.parametrize(
    "data", [b"\x01", b"\x01\x00", b"\x01\x01", b"\x01\x03", b"\x01\x03xy", b"\x01\x03x\x02\xff"]
)
def test_broken_options_discard_the_packet(data: bytes) -> None:
    toy, link = started()
    for code in (Code.CONFIGURE_REQUEST, Code.CONFIGURE_NAK, Code.CONFIGURE_REJECT):
        with pytest.raises(DecodeError):
            toy.receive(Packet(code, 1, data), 0.0)
    assert toy.state is State.REQ_SENT
    assert link.take() == []


def test_nothing_is_received_while_the_lower_layer_is_down() -> None:
    link = Recorder()
    toy = Toy(link)
    toy.receive(REQUEST, 0.0)
    toy.open(0.0)
    toy.receive(REQUEST, 0.0)
    toy.down(0.0)
    assert toy.state is State.STARTING
    assert link.take() == []


def test_a_closed_layer_answers_with_terminate_ack() -> None:
    link = Recorder()
    toy = Toy(link)
    toy.up(0.0)
    assert toy.state is State.CLOSED
    toy.receive(REQUEST, 0.0)
    assert link.sent == [Packet(Code.TERMINATE_ACK, 9)]


def test_an_illegal_event_is_our_own_fault() -> None:
    toy, _ = started()
    with pytest.raises(LocalError):
        toy.up(0.0)
    assert toy.state is State.REQ_SENT
