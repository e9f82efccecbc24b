"""The anti-replay window, by tables: what was received, and what is then still taken."""

import pytest

from ipsec.replay import ReplayWindow
from wire import LocalError

LAST = 2**32 - 1


@pytest.mark.parametrize(
    ("received", "fresh", "stale"),
    [
        ([], [1, 64, LAST], [0]),
        ([1], [2, 3], [0, 1]),
        ([64], [1, 63, 65], [0, 64]),
        ([65], [2, 64], [0, 1, 65]),
        ([3, 1], [2, 4], [1, 3]),
        ([100, 37], [38, 99, 101], [36, 37, 100]),
        ([10, 73], [11, 72], [10, 9, 73]),
        ([10, 74], [11, 73], [10, 74]),
        ([1, 2, 3, 66], [4, 65], [1, 2, 3, 66]),
        ([1, LAST], [LAST - 63, LAST - 1], [1, 2, LAST - 64, LAST]),
    ],
)
def test_window_of_64(received: list[int], fresh: list[int], stale: list[int]) -> None:
    window = ReplayWindow()
    for sequence in received:
        assert window.check(sequence)
        window.update(sequence)
    assert [s for s in fresh if not window.check(s)] == []
    assert [s for s in stale if window.check(s)] == []
    assert window.right_edge == max(received, default=0)


@pytest.mark.parametrize("size", [32, 64, 1024])
def test_edges_of_any_size(size: int) -> None:
    window = ReplayWindow(size)
    window.update(2 * size)
    assert window.left_edge == size + 1
    assert window.check(window.left_edge)
    assert not window.check(window.left_edge - 1)
    window.update(window.left_edge)
    assert not window.check(window.left_edge)


def test_check_changes_nothing() -> None:
    window = ReplayWindow()
    assert window.check(LAST)
    assert window.check(1)
    assert (window.left_edge, window.right_edge) == (0, 0)


def test_a_leap_forgets_everything_but_itself() -> None:
    window = ReplayWindow(32)
    for sequence in range(1, 33):
        window.update(sequence)
    window.update(64)
    assert [s for s in range(65) if window.check(s)] == list(range(33, 64))


def test_a_window_must_not_be_smaller_than_the_rfc_allows() -> None:
    with pytest.raises(LocalError):
        ReplayWindow(31)
