"""Tunnel and session ids (RFC 2661 sections 5.3 and 9.1)."""

from collections.abc import Callable
from itertools import pairwise

from l2tp.ids import IdTable
from tests.support.l2tp import entropy


def sequence(*numbers: int) -> Callable[[int], bytes]:
    supply = iter(numbers)
    return lambda length: next(supply).to_bytes(length)


def test_never_zero_and_never_taken() -> None:
    table: IdTable[str] = IdTable(10, sequence(0, 5, 5, 0xFFFF, 0xFFFF))
    for expected in (1, 5, 6, 0xFFFF):
        number = table.spare()
        assert number == expected
        table.put(number, "owner")
    assert table.spare() == 2, "the search goes round past zero and what is taken"


def test_ids_are_not_in_sequence() -> None:
    table: IdTable[int] = IdTable(1000, entropy().randbytes)
    numbers = []
    for turn in range(100):
        numbers.append(table.spare())
        table.put(numbers[-1], turn)
    assert len(set(numbers)) == 100
    steps = {after - before for before, after in pairwise(numbers)}
    assert len(steps) > 95


def test_the_table_fills_and_empties() -> None:
    table: IdTable[str] = IdTable(2, entropy().randbytes)
    table.put(1, "a")
    assert not table.full
    table.put(2, "b")
    assert table.full
    assert (len(table), table.owners(), table.get(2)) == (2, ["a", "b"], "b")
    table.remove(1)
    table.remove(1)
    assert not table.full
    assert table.get(1) is None


def test_every_id_but_zero_can_be_taken() -> None:
    table: IdTable[int] = IdTable(0xFFFF, lambda length: bytes(length))
    for turn in range(0xFFFF):
        table.put(turn + 1, turn)
    assert table.full
    table.remove(0x8000)
    assert table.spare() == 0x8000
