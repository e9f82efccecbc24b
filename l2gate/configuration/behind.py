"""The networks behind users that are routers: none of them may be anybody else's."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from aaa import AddressRange, Department
from l2gate.configuration.ipv6 import AnyNetwork
from l2gate.configuration.section import Section


class _Behind(NamedTuple):
    first: IPv4Address
    last: IPv4Address
    user: str


class NetworksBehind:
    """What users have read so far have behind them, and fixed addresses; in ascending order."""

    def __init__(
        self, departments: Iterable[Department], own_networks: Sequence[AnyNetwork]
    ) -> None:
        self._others = [
            (AddressRange(network[0], network[-1]), f"{network}, a network of this server")
            for network in own_networks
            if isinstance(network, IPv4Network)
        ]
        for department in departments:
            name, gateway = department.name, department.gateway
            self._others.append((AddressRange(gateway, gateway), f"the gateway of {name!r}"))
            self._others += ((part, f"the pool of {name!r}") for part in department.pool.ranges)
        self._behind: list[_Behind] = []
        self._addresses: list[IPv4Address] = []

    def check(
        self,
        section: Section,
        user: str,
        routes: Iterable[IPv4Network],
        address: IPv4Address | None,
    ) -> None:
        """Note which of a user's networks, or whether its address, is somebody's already."""
        for network in routes:
            owner = self._owner(network[0], network[-1])
            if owner is not None:
                section.error("routes", f"{network} overlaps {owner}: choose another")
            else:
                insort(self._behind, _Behind(network[0], network[-1], user))
        if address is not None:
            behind = self._who_has(address, address)
            if behind is not None:
                section.error(
                    "address", f"{address} is in a network behind {behind!r}: choose another"
                )
            insort(self._addresses, address)

    def _owner(self, first: IPv4Address, last: IPv4Address) -> str | None:
        for part, what in self._others:
            if part.first <= last and first <= part.last:
                return what
        place = bisect_left(self._addresses, first)
        if place < len(self._addresses) and self._addresses[place] <= last:
            return f"{self._addresses[place]}, a fixed address"
        behind = self._who_has(first, last)
        return behind and f"a network behind {behind!r}"

    def _who_has(self, first: IPv4Address, last: IPv4Address) -> str | None:
        """Return who has a network there; they do not overlap, so that the last one is it."""
        place = bisect_right(self._behind, last, key=lambda behind: behind.first) - 1
        if place >= 0 and first <= self._behind[place].last:
            return self._behind[place].user
        return None
