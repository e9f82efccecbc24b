"""When clients last had which pre-shared key: so an admin sees when an old one can go."""

from collections.abc import Iterable, Iterator


class KeyUse:
    """The keys of the configuration by name, and when each was last proven; None: never yet."""

    def __init__(self, names: Iterable[str]) -> None:
        self._last: dict[str, float | None] = dict.fromkeys(names)

    def __len__(self) -> int:
        return len(self._last)

    def __iter__(self) -> Iterator[tuple[str, float | None]]:
        return iter(self._last.items())

    def used(self, name: str, now: float) -> None:
        """Take note of a client that has proven to know a key."""
        if name in self._last:
            self._last[name] = now

    def replace(self, names: Iterable[str]) -> None:
        """Go on with the keys of another configuration."""
        self._last = {name: self._last.get(name) for name in names}
