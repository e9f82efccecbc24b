"""Fragments under any octets and in any order."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ipsec.context import Context
from ipsec.endpoint import Ike
from ipsec.exchange import Incoming
from ipsec.fragmentation import (
    FRAGMENT_HEADER_LENGTH,
    MAX_FRAGMENTS,
    MAX_MESSAGE,
    Fragment,
    Reassemblies,
    split,
)
from ipsec.message import HEADER_LENGTH, parse_message
from ipsec.path import Address, Path
from tests.support import fragments
from tests.support.caller import Caller
from tests.support.ike import config
from wire import DecodeError, Reader

OVERHEAD = HEADER_LENGTH + FRAGMENT_HEADER_LENGTH
PATH = Path(Address("192.0.2.1", 500), Address("198.51.100.7", 500))
COOKIES = bytes(range(16))

small = st.builds(
    Fragment,
    st.integers(0, 2),
    st.integers(1, MAX_FRAGMENTS),
    st.booleans(),
    st.binary(min_size=1, max_size=3),
)


def message(content: bytes) -> bytes:
    """Return a message with any content."""
    length = (28 + len(content)).to_bytes(4, "big")
    return COOKIES + bytes([8, 0x10, 2, 1, 0, 0, 0, 0]) + length + content


def reassemblies() -> Reassemblies:
    return Reassemblies(Context(config(), Random(1).randbytes))


def receive(table: Reassemblies, part: bytes) -> bytes | None:
    return table.receive(Incoming(*parse_message(part), PATH), 0.0)


@given(
    st.binary(min_size=1, max_size=2000),
    st.integers(70, 600),
    st.lists(st.integers(0, 1000), max_size=100),
    st.randoms(use_true_random=False),
)
def test_any_order_and_any_repetition_give_the_message(
    content: bytes, room: int, repeated: list[int], random: Random
) -> None:
    whole = message(content)
    parts = split(whole, room + OVERHEAD)
    assert len(parts) == -(-len(whole) // room)
    stream = parts + [parts[index % len(parts)] for index in repeated]
    random.shuffle(stream)
    table = reassemblies()
    results = [receive(table, part) for part in stream]
    assert {result for result in results if result is not None} == {whole}
    for part in parts:
        receive(table, part)
    assert len(table) <= 1


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=500), st.integers(30, 200)), min_size=1),
    st.integers(0, 2),
)
def test_one_message_after_the_other_whoever_counts(
    sent: list[tuple[bytes, int]], form: int
) -> None:
    table = reassemblies()
    for content, size in sent:
        cut = list(fragments.FORMS.values())[form](size)
        *results, last = [receive(table, part) for part in cut(message(content))]
        assert results == [None] * len(results)
        assert last == message(content)
    assert len(table) == 0


@given(st.lists(small, max_size=200))
def test_whatever_comes_the_next_message_that_comes_twice_gets_through(
    rubbish: list[Fragment],
) -> None:
    table = reassemblies()
    whole = message(bytes(200))
    parts = split(whole, 50 + OVERHEAD)
    header = parts[0][:24]
    for fragment in rubbish:
        body = fragment.build()
        part = header + (28 + len(body)).to_bytes(4, "big") + body
        result = receive(table, part)
        assert result is None or len(result) <= 3 * MAX_FRAGMENTS
        assert len(table) <= 1
    assert whole in [receive(table, part) for part in parts + parts]


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=MAX_FRAGMENTS))
def test_length_is_bounded(lengths: list[int]) -> None:
    table = reassemblies()
    kept = 0
    for number, length in enumerate(lengths, 1):
        kept += length
        part = fragments.fragment(message(b""), 1, number, False, bytes(length))
        try:
            assert receive(table, part) is None
        except DecodeError:
            assert kept > MAX_MESSAGE
            assert len(table) == 0
            return
        assert kept <= MAX_MESSAGE


@given(st.binary(max_size=100))
def test_any_octets_are_a_fragment_or_none(data: bytes) -> None:
    try:
        fragment = Fragment.parse(Reader(data))
    except DecodeError:
        return
    built = fragment.build()
    assert Fragment.parse(Reader(built)) == fragment
    assert built[2:7] == data[2:7]


@given(small)
def test_what_is_built_is_read_back(fragment: Fragment) -> None:
    assert Fragment.parse(Reader(fragment.build())) == fragment


@given(st.lists(st.binary(max_size=80), max_size=20), st.booleans())
def test_ike_takes_any_fragments(bodies: list[bytes], known: bool) -> None:
    ike = Ike(config(), Random(1).randbytes)
    caller = Caller(ike)
    header = caller.up_to(3)[:24]
    if not known:
        header = bytes(8) + header[8:]
    for body in bodies:
        length = (28 + len(body)).to_bytes(4, "big")
        caller.send(header[:16] + b"\x84" + header[17:] + length + body)
    assert len(ike._reassemblies) <= known
    assert ike.snapshot().half_open == 1
