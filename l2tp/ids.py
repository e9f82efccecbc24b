"""Tunnel and session ids (RFC 2661 sections 4.4.3, 4.4.4 and 9.1)."""

from typing import Generic, TypeVar

from wire import Entropy

Owner = TypeVar("Owner")

ID_LENGTH = 2


class IdTable(Generic[Owner]):
    """What has an id, by it. Ids are 1..65535, nobody can predict them, and at most `limit`
    are taken at a time."""

    __slots__ = ("_entropy", "_owners", "limit")

    def __init__(self, limit: int, entropy: Entropy) -> None:
        self.limit = limit
        self._entropy = entropy
        self._owners: dict[int, Owner] = {}

    def __len__(self) -> int:
        return len(self._owners)

    @property
    def full(self) -> bool:
        """Whether the limit is reached."""
        return len(self._owners) >= self.limit

    def spare(self) -> int:
        """Return an id that is free now."""
        candidate = int.from_bytes(self._entropy(ID_LENGTH), "big")
        while candidate == 0 or candidate in self._owners:
            candidate = (candidate + 1) % (1 << 8 * ID_LENGTH)
        return candidate

    def put(self, number: int, owner: Owner) -> None:
        """Enter the owner of an id."""
        self._owners[number] = owner

    def get(self, number: int) -> Owner | None:
        """Return the owner of an id, or None."""
        return self._owners.get(number)

    def remove(self, number: int) -> None:
        """Set an id free; it need not be taken."""
        self._owners.pop(number, None)

    def owners(self) -> list[Owner]:
        """Return all owners, in the order in which they were entered."""
        return list(self._owners.values())
