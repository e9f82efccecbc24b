"""Fragments of IKE messages: of all senders, in any order, and of strangers."""

import tracemalloc
from collections.abc import Callable
from hashlib import md5, sha256
from itertools import count
from random import Random

import pytest

from ipsec import natt, vendor
from ipsec.constants import GroupDescription, PayloadType
from ipsec.endpoint import Ike
from ipsec.errors import Drop
from ipsec.events import EspOffered, NegotiationFailed, PeerAuthenticated, SaInstalled
from ipsec.exchange import MAX_REPEATED_ANSWERS
from ipsec.fragmentation import (
    MAX_FRAGMENTS,
    MAX_MESSAGE,
    MAX_REASSEMBLIES,
    REASSEMBLY_TIME,
    split,
)
from ipsec.isakmp_sa import IsakmpSa
from ipsec.message import Cookies, parse_message
from ipsec.path import Address, Path
from ipsec.policy import DEFAULT
from tests.support import clients, fragments
from tests.support.caller import Caller, clear
from tests.support.ike import SERVER, Pair, config
from tests.support.simulation import Link, Nat

NAT = "203.0.113.9"
TINY = 28 + 8 + 40
"""Of so many octets a fragment holds 40 (36 on port 4500), so that the shortest message needs
several, and Main Mode's third some twelve."""

PATIENT = (1.0,) * 60


def server(**settings: object) -> Ike:
    return Ike(config(dpd_interval=None, **settings), Random(5).randbytes)


def in_pieces(caller: Caller, cut: fragments.Cut, message: bytes) -> list[bytes]:
    """Send a message in pieces and return the answers, as wholes."""
    return list(fragments.whole([a for part in cut(message) for a in caller.send(part)]))


def dropped(caller: Caller, reason: Drop) -> int:
    return caller.ike.snapshot().dropped.get(reason, 0)


def waiting(ike: Ike) -> int:
    return len(ike._reassemblies)


def third(caller: Caller) -> bytes:
    """Return message 3 of a main mode that is at that point."""
    return caller.up_to(3)


# The vendor id.


def test_the_vendor_id_is_the_hash_of_the_word() -> None:
    name = md5(b"FRAGMENTATION").digest()
    assert [form[:16] for form in vendor.FRAGMENTATION] == [name] * 3


@pytest.mark.parametrize("form", vendor.FRAGMENTATION, ids=bytes.hex)
def test_the_form_that_was_offered_comes_back(form: bytes) -> None:
    (answer,) = Caller().send(clients.first_message(clients.windows_offer(), [form.hex()]))
    assert clear(answer).all(PayloadType.VENDOR) == [form]
    assert vendor.read([form]).fragmentation == form


@pytest.mark.parametrize("flags", ["40000000", "00000000", "80"])
def test_a_peer_that_fragments_other_modes_gets_no_fragments(flags: str) -> None:
    vendor_id = vendor.FRAGMENTATION[-1] + bytes.fromhex(flags)
    assert vendor.read([vendor_id]).fragmentation is None


# Receiving.


@pytest.mark.parametrize("form", fragments.FORMS.values(), ids=fragments.FORMS)
@pytest.mark.parametrize("local_port", [None, 4500], ids=["port 500", "port 4500"])
def test_a_whole_session_in_pieces(
    form: Callable[[int], fragments.Cut], local_port: int | None
) -> None:
    """Everything after message 1, of which nobody can know whether it may be fragmented."""
    caller = Caller(server())
    cut = form(90)
    (second,) = caller.send(caller.first())
    (fourth,) = in_pieces(caller, cut, caller.next(second))
    fifth = caller.next(fourth)
    if local_port is not None:
        caller.path = Path(Address(SERVER, local_port), caller.path.peer._replace(port=local_port))
    (sixth,) = in_pieces(caller, form(20), fifth)
    caller.take(sixth)
    caller.sa = IsakmpSa(caller.mode, caller.now)
    mode = caller.quick_mode()
    (answer,) = in_pieces(caller, cut, caller.offer(mode))
    last = caller.take_quick(mode, answer)
    assert last is not None
    assert in_pieces(caller, form(30), last) == []
    kinds = [type(event) for event in caller.events()]
    assert kinds[:3] == [PeerAuthenticated, EspOffered, SaInstalled]
    assert caller.ike.snapshot().dropped == {}
    assert waiting(caller.ike) == 0


@pytest.mark.parametrize("seed", range(10))
def test_any_order_and_repetition(seed: int) -> None:
    random = Random(seed)
    caller = Caller(server())
    parts = fragments.windows(50)(third(caller))
    stream = [part for part in parts for _ in range(random.randint(1, 3))]
    random.shuffle(stream)
    answers = [answer for part in stream for answer in caller.send(part)]
    assert answers
    assert set(answers) == {answers[0]}, "once more for each time that it was whole again"
    assert waiting(caller.ike) <= 1


def test_a_repeated_message_is_answered_as_before_whole_or_in_pieces() -> None:
    caller = Caller(server())
    message = third(caller)
    (answer,) = caller.send(message)
    for cut in (fragments.windows(60), fragments.windows(100), fragments.strongswan(60)):
        assert in_pieces(caller, cut, message) == [answer]
    for _ in range(2 * MAX_REPEATED_ANSWERS):
        in_pieces(caller, fragments.windows(200), message)
    assert in_pieces(caller, fragments.windows(60), message) == []
    assert caller.take(answer) is not None


def test_another_id_takes_the_place_of_what_is_not_whole() -> None:
    caller = Caller(server())
    message = third(caller)
    old, new = fragments.windows(100), fragments.strongswan(100)
    for part in old(message)[1:]:
        assert caller.send(part) == []
    late, *parts = new(message)
    parts = [part[:32] + b"\0\7" + part[34:] for part in parts]
    for part in parts:
        assert caller.send(part) == []
    assert caller.send(old(message)[0]) == [], "it is the first of its kind again"
    assert waiting(caller.ike) == 1
    answers = [caller.send(part) for part in (late, *new(message)[1:])]
    assert len(answers[-1]) == 1


def test_senders_that_do_not_count_are_understood() -> None:
    """A message that was given up half way, then another with the same fragment id."""
    caller = Caller(server())
    message = third(caller)
    given_up, *_ = fragments.strongswan(100)(message[:40] + bytes(len(message) - 40))
    assert caller.send(given_up) == []
    assert len(in_pieces(caller, fragments.strongswan(100), message)) == 1


@pytest.mark.parametrize(
    "contradiction",
    [
        (3, True, b"another last"),
        (6, False, b"after the last"),
        (5, False, b"fourth"),
        (1, True, b"first"),
    ],
    ids=["last twice", "beyond", "not last after all", "all of it"],
)
def test_contradictions_begin_anew(contradiction: tuple[int, bool, bytes]) -> None:
    caller = Caller(server())
    message = third(caller)
    parts = [fragments.fragment(message, 1, n, n == 5, b"fourth") for n in (2, 3, 5)]
    for part in parts:
        assert caller.send(part) == []
    caller.send(fragments.fragment(message, 1, *contradiction))
    assert waiting(caller.ike) == (0 if contradiction[:2] == (1, True) else 1)
    answers = [in_pieces(caller, fragments.strongswan(100), message) for _ in range(2)]
    assert [len(answer) for answer in answers].count(1) >= 1, "at the latest when sent again"


def test_a_last_fragment_below_others_begins_anew() -> None:
    caller = Caller(server())
    message = third(caller)
    for number, last in ((1, False), (4, False), (2, True)):
        assert caller.send(fragments.fragment(message, 1, number, last, b"x")) == []
    assert dropped(caller, Drop.UNREADABLE) == 0, "the second alone is not two of two"
    assert waiting(caller.ike) == 1


def test_fragments_from_elsewhere_are_of_another_message() -> None:
    caller = Caller(server())
    first, *others = fragments.windows(100)(third(caller))
    here = caller.path
    assert caller.send(first) == []
    caller.path = here._replace(peer=Address(NAT, 500))
    for part in others:
        assert caller.send(part) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda part: part[:28] + b"\x0a" + part[29:],
        lambda part: part[:31] + bytes([part[31] + 1]) + part[32:],
        lambda part: part[:34] + b"\0" + part[35:],
        lambda part: part[:34] + bytes([MAX_FRAGMENTS + 1]) + part[35:],
        lambda part: part[:24] + b"\0\0\0\x24" + part[28:31] + b"\x08" + part[32:36],
        lambda part: part[:24] + b"\0\0\0\x21" + part[28:33],
    ],
    ids=["not alone", "length", "number 0", "number 33", "empty", "short"],
)
def test_what_is_no_fragment(damage: fragments.Cut) -> None:
    caller = Caller(server())
    part = fragments.windows(100)(third(caller))[0]
    assert caller.send(bytes(damage(part))) == []
    assert dropped(caller, Drop.UNREADABLE) == 1
    assert waiting(caller.ike) == 0


def test_fragments_in_fragments_lead_nowhere() -> None:
    caller = Caller(server())
    message = third(caller)
    for part in fragments.windows(100)(message):
        assert in_pieces(caller, fragments.strongswan(60), part) == []
    assert waiting(caller.ike) == 0
    assert len(caller.send(message)) == 1


def test_what_is_put_together_wrong_is_dropped() -> None:
    caller = Caller(server())
    message = third(caller)
    for number in (1, 2):
        caller.send(fragments.fragment(message, 1, number, number == 2, message[:100]))
    assert dropped(caller, Drop.UNREADABLE) == 1
    assert len(caller.send(message)) == 1


def test_fragments_are_forgotten_in_time() -> None:
    caller = Caller(server(half_open_lifetime=1000.0))
    *parts, last = fragments.windows(100)(third(caller))
    for part in parts:
        caller.send(part)
        caller.now += 1.0
    assert caller.ike.next_timeout() == caller.now - len(parts) + REASSEMBLY_TIME
    caller.ike.handle_timeout(caller.now - len(parts) + REASSEMBLY_TIME)
    assert waiting(caller.ike) == 0
    assert caller.send(last) == []


# Strangers, and those who flood.


def test_nothing_is_kept_for_strangers() -> None:
    ike = server()
    caller, stranger = Caller(ike), Caller(ike, seed=2)
    second = caller.up_to(3)
    first = stranger.first()
    forged = (
        first,
        second[:8] + bytes(8) + second[16:],
        second[:8] + bytes(range(8)) + second[16:],
        bytes(range(8)) + second[8:],
    )
    for message in forged:
        for cut in (fragments.windows(50), fragments.strongswan(50)):
            assert in_pieces(stranger, cut, message) == []
    assert waiting(ike) == 0
    assert set(ike.snapshot().dropped) == {Drop.UNKNOWN_SA}
    assert ike.snapshot().half_open == 1
    assert len(in_pieces(caller, fragments.windows(50), second)) == 1


def test_a_first_message_in_pieces_is_none() -> None:
    caller = Caller()
    assert in_pieces(caller, fragments.windows(100), caller.first()) == []
    assert caller.ike.snapshot().half_open == 0


def test_a_message_has_its_limits() -> None:
    caller = Caller(server())
    message = third(caller)
    for number in range(1, MAX_FRAGMENTS + 1):
        caller.send(fragments.fragment(message, 1, number, False, bytes(MAX_MESSAGE // 31)))
    assert dropped(caller, Drop.UNREADABLE) == 1
    assert waiting(caller.ike) == 0
    assert caller.send(fragments.fragment(message, 2, 1, False, bytes(60000))) == []
    assert dropped(caller, Drop.UNREADABLE) == 2
    assert len(in_pieces(caller, fragments.windows(100), message)) == 1


def test_floods_of_fragments_are_bounded() -> None:
    """From many who have come as far as message 2, each with all that it may send."""
    ike = server(half_open_limit=2 * MAX_REASSEMBLIES, half_open_per_host=2 * MAX_REASSEMBLIES)
    flooders = [Caller(ike, port=1000 + seed, seed=seed) for seed in range(100)]
    messages = [third(caller) for caller in flooders]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    numbers = count()
    for caller, message in zip(flooders, messages, strict=True):
        for number in range(1, MAX_FRAGMENTS):
            caller.send(fragments.fragment(message, next(numbers), number, False, bytes(500)))
        for number in range(1, MAX_FRAGMENTS):
            caller.send(fragments.fragment(message, 0, number, False, bytes(500)))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert waiting(ike) == MAX_REASSEMBLIES
    assert after - before < MAX_REASSEMBLIES * (MAX_MESSAGE + 10_000)
    one = Caller(ike, port=500, seed=1000)
    assert len(in_pieces(one, fragments.windows(100), third(one))) == 1
    ike.handle_timeout(one.now + REASSEMBLY_TIME)
    assert waiting(ike) == 0


# Sending.


@pytest.mark.parametrize("form", [*vendor.FRAGMENTATION, None], ids=str)
def test_only_who_announced_it_gets_fragments(
    form: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = Caller(server(fragment_limit=200))
    monkeypatch.setattr(
        vendor, "offer", lambda: [natt.RFC3947.vendor_id, *([form] if form else [])]
    )
    parts = caller.send(third(caller))
    assert (len(parts) > 1) == (form is not None)
    (fourth,) = fragments.whole(parts)
    assert caller.take(fourth) is not None


def test_what_fragments_look_like() -> None:
    caller = Caller(server(fragment_limit=200))
    message = third(caller)
    parts = caller.send(message)
    assert [len(part) for part in parts[:-1]] == [200] * (len(parts) - 1)
    assert len(parts[-1]) <= 200
    read = [fragments.read(part) for part in parts]
    assert [number for _, number, _, _ in read] == list(range(1, len(parts) + 1))
    assert [last for _, _, last, _ in read] == [False] * (len(parts) - 1) + [True]
    assert len({fragment_id for fragment_id, _, _, _ in read}) == 1
    assert {parse_message(part)[0].cookies for part in parts} == {caller.mode.cookies}
    assert caller.send(message) == parts, "sent again it is the same, and fills gaps"


def test_on_port_4500_each_fragment_has_the_marker() -> None:
    caller = Caller(server(fragment_limit=160))
    caller.path = Path(Address(SERVER, 4500), Address(NAT, 4500))
    caller.ike.receive(bytes(4) + caller.first(), caller.path, caller.now)
    (second,) = caller.answers()
    caller.ike.receive(bytes(4) + caller.next(second), caller.path, caller.now)
    sent = [data for data, _ in caller.ike.datagrams_to_send()]
    assert len(sent) > 1
    assert {len(data) for data in sent[:-1]} == {160}
    for data in sent:
        assert data[:4] == bytes(4)
        fragments.read(data[4:])


def test_by_default_what_comes_out_of_a_large_group_is_fragmented() -> None:
    suite = next(suite for suite in DEFAULT.ike if suite.group is GroupDescription.MODP_4096)
    caller = Caller(server(), config(ike_offers=(suite,)))
    parts = caller.send(third(caller))
    assert len(parts) == 2
    assert max(map(len, parts)) == 548, "with IP and UDP headers, 576"
    (fourth,) = fragments.whole(parts)
    assert caller.take(fourth) is not None


@pytest.mark.parametrize("group", [GroupDescription.MODP_3072, GroupDescription.ECP_521])
def test_what_clients_agree_on_is_sent_whole(group: GroupDescription) -> None:
    suite = next(suite for suite in DEFAULT.ike if suite.group is group)
    caller = Caller(server(), config(ike_offers=(suite,)))
    (fourth,) = caller.send(third(caller))
    assert clear(fourth).first_type == PayloadType.KE


def test_fragment_ids_are_never_0() -> None:
    """That is what some versions of strongSwan fall over."""
    messages = (number.to_bytes(4, "big") for number in count())
    start = clear_message()
    found = next(start + tail for tail in messages if sha256(start + tail).digest()[:2] == b"\0\0")
    ids = {fragments.read(part)[0] for part in split(found, 100)}
    assert ids == {1}


def clear_message() -> bytes:
    """Return the beginning of a message of 200 octets."""
    return bytes(range(16)) + bytes([2, 0x10, 2, 0, 0, 0, 0, 0, 0, 0, 0, 200]) + bytes(168)


def test_what_is_split_is_what_it_was() -> None:
    message = clear_message() + b"last"
    parts = split(message, 100)
    assert list(fragments.whole(parts)) == [message]
    assert parse_message(parts[0])[0].cookies == Cookies(bytes(range(8)), bytes(range(8, 16)))


# Both roles.


@pytest.mark.parametrize("nat", [False, True])
def test_everything_in_fragments(nat: bool) -> None:
    settings = config(fragment_limit=TINY, pfs_group=GroupDescription.MODP_2048)
    pair = Pair(settings, settings, nat=Nat(NAT) if nat else None)
    pair.establish()
    pair.exchange()
    number = pair.client.told(PeerAuthenticated)[0].peer
    pair.client.ike.rekey_ike(number, pair.simulation.now)
    pair.client.ike.rekey_esp(number, pair.simulation.now)
    pair.simulation.run(5.0)
    pair.exchange()
    assert len(pair.server.told(SaInstalled)) == 2
    for host in (pair.client, pair.server):
        assert host.ike.snapshot().dropped == {}
        assert waiting(host.ike) == 0


@pytest.mark.parametrize("seed", range(10))
def test_fragments_over_a_network_that_loses_and_reorders(seed: int) -> None:
    settings = config(fragment_limit=120, retransmission=PATIENT, half_open_lifetime=120.0)
    link = Link(delay=0.02, jitter=0.2, loss=0.2, duplication=0.3)
    pair = Pair(settings, settings, nat=Nat(NAT), link=link, seed=seed)
    pair.establish(120.0)
    pair.simulation.link = Link()
    pair.simulation.run(5.0)
    pair.exchange()
    assert len(pair.server.told(PeerAuthenticated)) == 1
    assert len(pair.server.told(SaInstalled)) == 1
    assert pair.server.told(NegotiationFailed) == []
    pair.simulation.run(REASSEMBLY_TIME)
    assert (waiting(pair.client.ike), waiting(pair.server.ike)) == (0, 0)
