"""How many log lines a flood may cause."""

from itertools import count

from ipsec.path import Address
from l2gate.linelimit import IN_ALL, MINUTE, PER_HOST, LineLimit
from tests.support.lab import SERVER, Lab
from tests.support.simulation import Wire

AGGRESSIVE = bytes(range(1, 9)) + bytes(8) + b"\x01\x10\x04\x00" + bytes(4)
"""The beginning of a message of Aggressive Mode, which is always refused."""


COOKIES = count(1)


def test_one_host_has_its_share() -> None:
    limit = LineLimit()
    assert limit.next_timeout() is None
    assert [limit.admits("one", 5.0 + n) for n in range(15)] == [True] * PER_HOST + [False] * 5
    assert limit.admits("two", 20.0)
    assert limit.next_timeout() == 5.0 + MINUTE
    assert limit.handle_timeout(5.0 + MINUTE - 0.1) == 0
    assert limit.handle_timeout(5.0 + MINUTE) == 5
    assert limit.next_timeout() is None
    assert limit.admits("one", 70.0)
    assert limit.handle_timeout(70.0 + MINUTE) == 0


def test_all_hosts_have_theirs_and_fill_no_table() -> None:
    limit = LineLimit()
    admitted = sum(limit.admits(f"host {number}", 1.0) for number in range(10_000))
    assert admitted == IN_ALL
    assert len(limit._limit) <= IN_ALL
    assert limit.handle_timeout(1.0 + MINUTE) == 10_000 - IN_ALL
    assert not len(limit._limit)


def flood(lab: Lab, hosts: list[str]) -> None:
    message = AGGRESSIVE + (32).to_bytes(4, "big") + b"\0\0\0\4"
    for host in hosts:
        source = Address(host, 500)
        data = next(COOKIES).to_bytes(8, "big") + message[8:]
        lab.server.receive(Wire(source, Address(SERVER, 500), data), lab.simulation.now)


def test_a_flood_of_refusals_is_a_few_lines_in_the_log() -> None:
    lab = Lab()
    flood(lab, ["192.0.2.66"] * 500)
    lab.run(1)
    assert len(lab.server.noted("aggressive mode")) == PER_HOST
    flood(lab, [f"10.1.{n // 250}.{n % 250}" for n in range(500)])
    lab.run(1)
    assert len(lab.server.log) == IN_ALL
    lab.run(MINUTE)
    assert len(lab.server.log) == IN_ALL + 1
    (last,) = lab.server.noted("left out")
    assert f"{1000 - IN_ALL} more" in str(last)
    lab.run(10 * MINUTE)
    assert len(lab.server.log) == IN_ALL + 1
    flood(lab, ["192.0.2.66"])
    lab.run(1)
    assert len(lab.server.noted("peer=192.0.2.66:500 aggressive mode failed")) == PER_HOST + 1


def test_a_host_with_a_prefix_of_its_own_is_one_host() -> None:
    limit = LineLimit()
    assert sum(limit.admits(f"2001:db8:1:2::{n:x}", 1.0) for n in range(1, 100)) == PER_HOST
    assert limit.admits("2001:db8:1:3::1", 1.0)
