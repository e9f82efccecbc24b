"""Floods of first messages: what is kept, what gives way, and that somebody honest gets in."""

from random import Random

from ipsec.config import IkeConfig
from ipsec.endpoint import Ike
from ipsec.errors import Drop
from ipsec.events import NegotiationFailed, PeerAuthenticated
from tests.support.caller import Caller
from tests.support.ike import config


def flood(ike: Ike, hosts: list[str], count: int, seed: int = 100) -> list[Caller]:
    """Send `count` first messages from each host; return who sent them."""
    callers = []
    for number, host in enumerate(hosts):
        for turn in range(count):
            caller = Caller(ike, host=host, port=1000 + turn, seed=seed + 1000 * number + turn)
            ike.receive(caller.first(), caller.path, caller.now)
            callers.append(caller)
    ike.datagrams_to_send()
    return callers


def server(**settings: object) -> Ike:
    return Ike(config(**settings), Random(5).randbytes)


def test_one_address_fills_its_own_part_alone() -> None:
    ike = server(half_open_limit=50, half_open_per_host=10)
    flood(ike, ["198.51.100.1"], 40)
    assert ike.snapshot().half_open == 10
    honest = Caller(ike, host="198.51.100.2")
    honest.establish()


def test_the_limit_on_all_holds_and_the_newest_get_in() -> None:
    ike = server(half_open_limit=20, half_open_per_host=10)
    hosts = [f"198.51.100.{number}" for number in range(1, 30)]
    flood(ike, hosts, 2)
    assert ike.snapshot().half_open == 20
    honest = Caller(ike, host="203.0.113.77")
    third = honest.up_to(3)
    flood(ike, hosts, 1, seed=50_000)
    (fourth,) = honest.send(third) or (b"",)
    assert fourth == b"", "too slow for such a flood: it begins again"
    Caller(ike, host="203.0.113.77", seed=3).establish()


def test_who_sent_message_3_is_not_pushed_out() -> None:
    ike = server(half_open_limit=20, half_open_per_host=20)
    honest = Caller(ike, host="203.0.113.77")
    fifth = honest.up_to(5)
    flood(ike, [f"198.51.100.{number}" for number in range(1, 100)], 1)
    assert len(honest.send(fifth)) == 1
    assert [type(event) for event in honest.events()] == [PeerAuthenticated]


def test_when_all_have_sent_message_3_no_more_get_in() -> None:
    ike = server(half_open_limit=5, half_open_per_host=5)
    for number in range(5):
        caller = Caller(ike, port=600 + number, seed=number)
        caller.send(caller.up_to(3))
    late = Caller(ike, port=700, seed=50)
    assert late.send(late.first()) == []
    assert ike.snapshot().dropped == {Drop.NO_ROOM: 1}
    ike.handle_timeout(late.now + 31.0)
    late = Caller(ike, port=700, seed=51)
    late.establish()


def test_each_ends_after_its_time() -> None:
    ike = server(half_open_lifetime=30.0)
    callers = flood(ike, ["198.51.100.1"], 10)
    ike.handle_timeout(callers[0].now + 29.9)
    assert ike.snapshot().half_open == 10
    ike.handle_timeout(callers[0].now + 30.0)
    assert ike.snapshot().half_open == 0
    assert ike.next_timeout() is None
    events = callers[0].events()
    assert len(events) == 10
    for event in events:
        assert isinstance(event, NegotiationFailed)
        assert event.why == "message 3 never came"
        assert event.negotiation is not None
        assert not event.negotiation.heard, "strangers are not worth a line each in the log"


def test_what_was_pushed_out_leaves_no_timers_behind() -> None:
    ike = server(half_open_limit=5, half_open_per_host=5)
    flood(ike, ["198.51.100.1"], 500)
    assert len(ike._context.deadlines) == 5
    assert len(ike._context.deadlines._heap) < 100


def test_peers_are_limited_too_but_may_renew() -> None:
    ike = server(peer_limit=1)
    Caller(ike, seed=1).establish()
    other = Caller(ike, host="198.51.100.9", seed=2)
    assert other.send(other.first()) == []
    assert ike.snapshot().dropped == {Drop.NO_ROOM: 1}
    again = Caller(ike, seed=3)
    again.establish()
    assert len(ike.snapshot().peers) == 1


def test_default_limits_are_set() -> None:
    settings: IkeConfig = config()
    assert settings.half_open_per_host < settings.half_open_limit <= 1000


def test_a_host_with_a_prefix_of_its_own_is_one_host() -> None:
    ike = server(half_open_limit=50, half_open_per_host=10)
    flood(ike, [f"2001:db8:1:2::{n:x}" for n in range(1, 31)], 1)
    assert ike.snapshot().half_open == 10
    flood(ike, ["2001:db8:1:3::1", "fe80::1%4"], 1, seed=9)
    assert ike.snapshot().half_open == 12
