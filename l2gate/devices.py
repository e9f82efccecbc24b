"""The TUN devices of the departments: which there are, and what the kernel has on each.

A department is behind its `interface`, alone or with others. The devices come and go with the
departments that name them, at the start and at each reload.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from ipaddress import summarize_address_range
from typing import Self

from aaa import Department, Directory
from l2gate.events import RouteAdded, RouteRemoved
from l2gate.network import Address, Network, NetworkAddress
from l2gate.tun import Tun
from wire.types import Octets


class Devices:
    """An asynchronous context manager: inside, the kernel uses the devices that are open.

    `close` them in any case. A packet for a device that has gone is lost, as on any link.
    """

    def __init__(self, mtu: int, receive: Callable[[Tun], None]) -> None:
        """`receive` is called when a device has packets, between `attach` and `detach`."""
        self._mtu = mtu
        self._receive = receive
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tuns: dict[str, Tun] = {}
        self._network = Network()
        self._dropped = 0

    @property
    def names(self) -> list[str]:
        """The devices that there are."""
        return list(self._tuns)

    @property
    def drops(self) -> int:
        """Packets that the kernel has not taken, by devices that have gone, too."""
        return self._dropped + sum(tun.drops for tun in self._tuns.values())

    def open(self, directory: Directory) -> None:
        """Make those that departments name and that are not there. Raises TunError."""
        for name in interfaces(directory):
            if name not in self._tuns:
                self._tuns[name] = tun = Tun(name)
                if self._loop is not None:
                    self._loop.add_reader(tun.fileno(), self._receive, tun)

    def close(self) -> None:
        """Remove all devices."""
        for name in self.names:
            self._close(name)

    async def __aenter__(self) -> Self:
        await self._network.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._network.__aexit__(*_)

    async def bring_up(self, directory: Directory, devices: Collection[str]) -> None:
        """Let the kernel use devices that are open. Raises NetworkError."""
        gateways = _gateways(directory)
        for name in devices:
            await self._network.bring_up(name, self._mtu, list(gateways[name]))

    async def add(self, directory: Directory) -> list[str]:
        """Have the devices of a directory beside those that there are; return which are new.

        Raises TunError or NetworkError; then all is as it was before.
        """
        before = set(self._tuns)
        try:
            self.open(directory)
            new = [name for name in self._tuns if name not in before]
            await self.bring_up(directory, new)
        except Exception:
            await self.remove(self._tuns.keys() - before)
            raise
        return new

    async def remove(self, devices: Iterable[str]) -> None:
        """Remove devices, with what the kernel has on them."""
        for name in devices:
            await self._network.forget(name)
            self._close(name)

    async def follow(self, directory: Directory) -> set[str]:
        """Have the devices of a directory alone, and return which are gone.

        Its addresses and pools are set soon after.
        """
        gone = self._tuns.keys() - interfaces(directory)
        await self.remove(gone)
        self._network.set_gateways(_gateways(directory))
        self._network.set_pools(_pools(directory))
        return gone

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to read."""
        self._loop = loop
        for tun in self._tuns.values():
            loop.add_reader(tun.fileno(), self._receive, tun)

    def detach(self) -> None:
        """Read no more."""
        if self._loop is not None:
            for tun in self._tuns.values():
                self._loop.remove_reader(tun.fileno())
            self._loop = None

    def send(self, packets: Iterable[tuple[str, Iterable[Octets]]]) -> None:
        """Give packets to the kernel, each through its device."""
        for name, batch in packets:
            tun = self._tuns.get(name)
            if tun is not None:
                tun.send(batch)

    def route(self, change: RouteAdded | RouteRemoved) -> None:
        """Let the kernel reach a client, or no more. Made soon."""
        match change:
            case RouteAdded(network, gateway, _, interface, proxy_arp):
                self._network.add_route(interface, network, gateway, proxy_arp)
            case RouteRemoved(network, _):
                self._network.remove_route(network)

    def _close(self, name: str) -> None:
        tun = self._tuns.pop(name)
        self._dropped += tun.drops
        if self._loop is not None:
            self._loop.remove_reader(tun.fileno())
        tun.close()


def interfaces(directory: Directory) -> dict[str, list[Department]]:
    """Return the departments behind each interface that has any."""
    found: dict[str, list[Department]] = {}
    for department in directory.departments.values():
        found.setdefault(department.interface, []).append(department)
    return found


def _gateways(directory: Directory) -> dict[str, set[Address]]:
    """Return our ends of the links behind each interface."""
    return {
        name: {
            address
            for department in departments
            for address in (department.gateway, department.gateway6)
            if address is not None
        }
        for name, departments in interfaces(directory).items()
    }


def _pools(directory: Directory) -> dict[str, list[NetworkAddress]]:
    """Return what belongs behind each interface: pools, and the networks behind users."""
    pools: dict[str, list[NetworkAddress]] = {}
    for name, departments in interfaces(directory).items():
        pools[name] = [
            network
            for department in departments
            for part in department.pool.ranges
            for network in summarize_address_range(part.first, part.last)
        ]
        pools[name] += [each.pool6 for each in departments if each.pool6 is not None]
    for user in directory.routers:
        department = directory.department_of(user.name)
        if department is not None:
            pools[department.interface] += user.routes
    return pools
