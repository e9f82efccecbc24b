"""What the kernel must know: our addresses, the routes to the clients, and that it forwards.

Routes come and go with sessions, so they are set through rtnetlink(7), over one socket and
without processes. pyroute2's synchronous classes run an event loop of their own and refuse to
work inside one that runs; hence the asynchronous one, and a queue that keeps the changes in
order while the caller goes on at once.

Addresses and routes belong to the TUN devices. The kernel removes them with these, however the
program ends. What a killed run leaves behind, and the next one removes, is proxy ARP.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Collection, Coroutine, Iterable, Mapping
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_interface,
)
from typing import Final, NamedTuple, Self, TypeVar

from pyroute2 import AsyncIPRoute, NetlinkError
from pyroute2.netlink.nlsocket import NetlinkRequest
from pyroute2.netlink.rtnl import RTM_GETNEIGH
from pyroute2.netlink.rtnl.ndmsg import ndmsg

from l2gate.sysctl import Sysctls

_NTF_PROXY: Final = 0x08
_IFA_F_NODAD: Final = 0x02
"""Nobody else is on the device who could have our IPv6 address; it is of use at once."""
_PROXY_PROTOCOL: Final = 172
"""Tells our proxy ARP from that of others; a number of no program that <linux/rtnetlink.h> has."""
_SCOPE_LINK: Final = 253
_RTPROT_STATIC: Final = 4
_POOL_METRIC: Final = 1 << 16
"""Keeps the route of a pool apart from that of a client, even where the two are as long."""
_QUEUE: Final = 1000
"""Packets that wait in the device for us: about 10 ms at 1 Gbit/s."""

_log = logging.getLogger(__name__)


class NetworkError(Exception):
    """The kernel refuses what the server cannot do without; the text says what and why."""


Address = IPv4Address | IPv6Address
NetworkAddress = IPv4Network | IPv6Network
Value = TypeVar("Value")


class _OwnAddress(NamedTuple):
    interface: IPv4Interface | IPv6Interface
    link: int


async def own_networks(without: Collection[str] = ()) -> list[NetworkAddress]:
    """Return the networks that this machine is connected to, but those of some devices.

    Needs no privilege. The command line calls it through `asyncio.run()`.
    """
    async with AsyncIPRoute() as rtnetlink:
        skipped = [link for name in without for link in await rtnetlink.link_lookup(ifname=name)]
        addresses = await _own_addresses(rtnetlink)
    return [own.interface.network for own in addresses if own.link not in skipped]


async def _own_addresses(rtnetlink: AsyncIPRoute) -> list[_OwnAddress]:
    addresses = []
    async for message in await rtnetlink.addr("dump"):
        interface = ip_interface((message.get("address"), message["prefixlen"]))
        addresses.append(_OwnAddress(interface, message["index"]))
    return addresses


class Network:
    """The kernel's part in the work of the TUN devices; an asynchronous context manager.

    On leaving, what was set outside of the devices is as it was before.
    """

    def __init__(self, sysctls: Sysctls | None = None) -> None:
        self._sysctls = sysctls or Sysctls()
        self._rtnetlink = AsyncIPRoute()
        self._links: dict[str, int] = {}
        self._gateways: set[tuple[str, Address]] = set()
        self._pools: set[tuple[str, NetworkAddress]] = set()
        self._routes: dict[NetworkAddress, str] = {}
        self._proxies: dict[IPv4Address, int] = {}
        self._changes: asyncio.Queue[Coroutine[None, None, None]] = asyncio.Queue()
        self._changing = asyncio.Lock()
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to make changes."""
        await self._rtnetlink.setup_endpoint()
        await self._remove_leftover()
        self._worker = asyncio.create_task(self._make_changes())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Finish the changes, take proxy ARP back, restore the sysctls."""
        await self.settle()
        for address in list(self._proxies):
            self._changes.put_nowait(self._delete_proxy(address))
        await self.settle()
        if self._worker is not None:
            self._worker.cancel()
        self._rtnetlink.close()
        self._sysctls.restore()

    async def bring_up(self, device: str, mtu: int, gateways: Collection[Address]) -> None:
        """Bring a device up with our ends of all its links, and let the kernel forward.

        IPv6 is switched on if it has an address among them. May be called again with more of
        them. Raises NetworkError.
        """
        async with self._changing:
            await self._bring_up(device, mtu, gateways)

    async def _bring_up(self, device: str, mtu: int, gateways: Collection[Address]) -> None:
        found = await self._rtnetlink.link_lookup(ifname=device)
        if not found:
            raise NetworkError(f"there is no network device {device}")
        try:
            self._sysctls.set("ipv4/ip_forward", "1")
        except OSError as error:
            raise NetworkError(
                f"IPv4 forwarding cannot be switched on: {error.strerror} (set net.ipv4.ip_forward"
                "=1 where this container is started, such as docker run --sysctl)"
            ) from error
        # ICMP errors of ours enter through the device, from an address that is the machine's own.
        self._sysctls.try_set(f"ipv4/conf/{device}/accept_local", "1")
        # Two clients talk through one device: no reason to tell them a shorter way (RFC 1812
        # section 5.2.7.2). The kernel redirects if either of the two says so.
        self._sysctls.try_set("ipv4/conf/all/send_redirects", "0")
        self._sysctls.try_set(f"ipv4/conf/{device}/send_redirects", "0")
        if any(gateway.version == 6 for gateway in gateways):
            await self._forward_ipv6(device)
        else:
            self._sysctls.try_set(f"ipv6/conf/{device}/disable_ipv6", "1")
        try:
            await self._rtnetlink.link("set", index=found[0], mtu=mtu, txqlen=_QUEUE, state="up")
            self._links[device] = found[0]
            for gateway in gateways:
                await self._change_address("replace", device, gateway)
        except NetlinkError as error:
            raise NetworkError(f"{device} cannot be set up: {error}") from error
        self._gateways |= {(device, gateway) for gateway in gateways}

    async def forget(self, device: str) -> None:
        """Take it that a device goes, and with it all that was set on it.

        What is still to be changed on it is not changed any more.
        """
        async with self._changing:
            self._links.pop(device, None)
        self._gateways = {pair for pair in self._gateways if pair[0] != device}
        self._pools = {pair for pair in self._pools if pair[0] != device}
        self._routes = {to: name for to, name in self._routes.items() if name != device}

    async def _forward_ipv6(self, device: str) -> None:
        """Let the kernel forward IPv6, and keep what it learned from its own routers.

        A machine that forwards does not listen to Router Advertisements, unless accept_ra is 2,
        and would lose its own default route.
        """
        try:
            if self._sysctls.get("ipv6/conf/all/forwarding") == "0":
                for name in self._sysctls.names("ipv6/conf/*/accept_ra"):
                    if self._sysctls.get(name) == "1":
                        self._sysctls.set(name, "2")
            self._sysctls.set("ipv6/conf/all/forwarding", "1")
            # The device has no neighbours, and no link-local address to talk to them.
            self._sysctls.set(f"ipv6/conf/{device}/accept_ra", "0")
            self._sysctls.set(f"ipv6/conf/{device}/addr_gen_mode", "1")
            self._sysctls.set(f"ipv6/conf/{device}/disable_ipv6", "0")
        except OSError as error:
            raise NetworkError(
                f"IPv6 forwarding cannot be switched on: {error.strerror} (set net.ipv6.conf.all."
                "forwarding=1 and disable_ipv6=0 where this container is started, such as docker "
                "run --sysctl, or take pool6 out of the configuration)"
            ) from error

    def set_gateways(self, gateways: Mapping[str, Iterable[Address]]) -> None:
        """Have these as our ends of the links of each device; made soon, a failure is logged."""
        wanted = _pairs(gateways)
        for device in {device for device, gateway in wanted if gateway.version == 6}:
            self._changes.put_nowait(self._forward_ipv6(device))
        # In this order: with its last IPv4 address a device loses all its routes.
        for pair in wanted - self._gateways:
            self._changes.put_nowait(self._change_address("add", *pair))
        for pair in self._gateways - wanted:
            self._changes.put_nowait(self._change_address("del", *pair))
        self._gateways = wanted

    def set_pools(self, pools: Mapping[str, Iterable[NetworkAddress]]) -> None:
        """Route these networks into each device, behind the routes to clients in them.

        So what is sent to a client that has hung up ends here, and does not leave the machine in
        clear text by its default route. Made soon, a failure is logged.
        """
        wanted = _pairs(pools)
        for pair in self._pools - wanted:
            self._changes.put_nowait(self._change_pool("del", *pair))
        for pair in wanted - self._pools:
            self._changes.put_nowait(self._change_pool("add", *pair))
        self._pools = wanted

    def add_route(
        self, device: str, network: NetworkAddress, gateway: Address, proxy_arp: bool = False
    ) -> None:
        """Route a client's address, or a network behind it, into a device.

        `gateway` becomes the source of what the kernel itself sends there. With `proxy_arp`
        the interface whose network holds the address answers ARP for it (RFC 1027). The
        change is made soon after; a failure is logged.
        """
        self._changes.put_nowait(self._add_route(device, network, gateway))
        if proxy_arp and isinstance(network, IPv4Network):
            self._changes.put_nowait(self._add_proxy(network.network_address))

    def remove_route(self, network: NetworkAddress) -> None:
        """Take back what `add_route()` did, in the order of the calls."""
        self._changes.put_nowait(self._delete_route(network))
        if isinstance(network, IPv4Network):
            self._changes.put_nowait(self._delete_proxy(network.network_address))

    async def settle(self) -> None:
        """Wait until all changes so far are made."""
        await self._changes.join()

    async def _make_changes(self) -> None:
        while True:
            change = await self._changes.get()
            try:
                async with self._changing:
                    await change
            except Exception as error:  # whatever it is, the next change must be made
                _log.warning("a change of addresses and routes failed: %r", error)
            finally:
                self._changes.task_done()

    async def _change_address(self, command: str, device: str, address: Address) -> None:
        if (link := self._links.get(device)) is not None:
            await self._rtnetlink.addr(
                command,
                index=link,
                address=str(address),
                prefixlen=address.max_prefixlen,
                flags=_IFA_F_NODAD if address.version == 6 else 0,
            )

    async def _change_pool(self, command: str, device: str, pool: NetworkAddress) -> None:
        if (link := self._links.get(device)) is not None:
            await self._rtnetlink.route(
                command, dst=str(pool), oif=link, scope=_SCOPE_LINK, priority=_POOL_METRIC
            )

    async def _add_route(self, device: str, network: NetworkAddress, gateway: Address) -> None:
        """A network that is routed elsewhere already, as the headquarters' own, stays so."""
        if (link := self._links.get(device)) is None:
            return
        command = "replace" if network in self._routes else "add"
        try:
            await self._rtnetlink.route(
                command,
                dst=str(network),
                oif=link,
                prefsrc=str(gateway),
                scope=_SCOPE_LINK,
                proto=_RTPROT_STATIC,
            )
        except NetlinkError as error:
            if error.code == errno.EEXIST:
                _log.warning("%s is routed elsewhere already: not to a client, then", network)
                return
            raise
        self._routes[network] = device

    async def _delete_route(self, network: NetworkAddress) -> None:
        device = self._routes.pop(network, "")
        if (link := self._links.get(device)) is not None:
            await self._rtnetlink.route("del", dst=str(network), oif=link, scope=_SCOPE_LINK)

    async def _add_proxy(self, address: IPv4Address) -> None:
        for own in await _own_addresses(self._rtnetlink):
            if address in own.interface.network and own.link not in self._links.values():
                await self._rtnetlink.neigh(
                    "replace",
                    dst=str(address),
                    ifindex=own.link,
                    flags=_NTF_PROXY,
                    protocol=_PROXY_PROTOCOL,
                )
                self._proxies[address] = own.link
                return
        _log.warning("no interface has a network with %s: proxy ARP is of no use", address)

    async def _remove_leftover(self) -> None:
        """Answer ARP no more for the clients of a run that was killed."""
        try:
            # The kernel has a list of its own for proxy ARP, which neigh() does not ask for.
            wanted = ndmsg()
            wanted["family"], wanted["flags"] = socket.AF_INET, _NTF_PROXY
            dump = {"dump": (RTM_GETNEIGH, "dump")}
            request = NetlinkRequest(self._rtnetlink, wanted, "dump", dump)
            await request.send()
            leftover = [
                (message.get("dst"), message["ifindex"])
                async for message in request.response()
                if message.get("protocol") == _PROXY_PROTOCOL
            ]
            for address, link in leftover:
                await self._rtnetlink.neigh("del", dst=address, ifindex=link, flags=_NTF_PROXY)
        except NetlinkError as error:
            _log.warning("proxy ARP of a run before could not be removed: %s", error)

    async def _delete_proxy(self, address: IPv4Address) -> None:
        index = self._proxies.pop(address, None)
        if index is not None:
            await self._rtnetlink.neigh("del", dst=str(address), ifindex=index, flags=_NTF_PROXY)


def _pairs(by_device: Mapping[str, Iterable[Value]]) -> set[tuple[str, Value]]:
    return {(device, value) for device, values in by_device.items() for value in values}
