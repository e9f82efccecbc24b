"""What clients may reach: one table of nftables, which is ours alone and goes with us.

How this works. Each department is a zone. Three sets hold where its clients are just now: their
addresses, and the networks behind those that are routers. A packet that comes out of one of our
devices is judged by the zone that its source is in:

    of a connection that is allowed already       accept
    to a client of the same department            accept, with client_to_client
    to a destination in `allow`                   accept
    to another client                             reject
    to anything else                              accept without `allow`, reject with it

A source in no zone is that of a session which has begun in this moment: it is dropped in silence,
so that its clients try again, and a rejection does not end what would be let through.

What comes from elsewhere, or is addressed to this machine, is none of the table's business; and
what it accepts, other tables can still refuse. The forwarder has checked that a packet has its
session's own source (so that sets of sources can be trusted).

A change is a script for nft(8), which the kernel takes as a whole or not at all. What has come
together while the one before was under way is one script.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Self, TypeAlias

from aaa import Allowed, Department

IpNetwork: TypeAlias = IPv4Network | IPv6Network
RunNft: TypeAlias = Callable[[str], Awaitable[None]]

TABLE: Final = "inet l2gate"
REMOVE: Final = f"add table {TABLE}\ndelete table {TABLE}\n"
"""Does not fail where there is no table."""
REJECT: Final = "reject with icmpx type admin-prohibited"

_log = logging.getLogger(__name__)


class FirewallError(Exception):
    """The kernel, or nft, refuses what separates the departments; the text says why."""


def _match(allowed: Allowed) -> str:
    """Return what matches a destination, in nft's language."""
    family = "ip6" if isinstance(allowed.to, IPv6Network) else "ip"
    match = f"{family} daddr {allowed.to}"
    if allowed.protocol == "icmp":
        return f"{match} meta l4proto {{ icmp, ipv6-icmp }}"
    if allowed.protocol is None:
        return match
    if not allowed.ports:
        return f"{match} meta l4proto {allowed.protocol}"
    ports = ", ".join(f"{first}-{last}" for first, last in allowed.ports)
    return f"{match} {allowed.protocol} dport {{ {ports} }}"


@dataclass(frozen=True, slots=True)
class Zone:
    """What the clients of one department may reach; `allow` is None where that is anything."""

    name: str
    allow: tuple[Allowed, ...] | None = None
    client_to_client: bool = False

    @classmethod
    def of(cls, department: Department) -> "Zone":
        """Return the zone of a department."""
        policy = department.policy
        return cls(department.name, policy.allow, policy.client_to_client)

    def set_of(self, network: IpNetwork) -> str:
        """Return the name of the set that a client's address or network belongs to."""
        if isinstance(network, IPv6Network):
            return f"networks6_{self.name}"
        return f"hosts_{self.name}" if network.prefixlen == 32 else f"networks_{self.name}"

    def sets(self) -> Iterator[tuple[str, str, str]]:
        """Yield name, type and how a source is matched for each set."""
        yield f"hosts_{self.name}", "type ipv4_addr;", "ip"
        yield f"networks_{self.name}", "type ipv4_addr; flags interval;", "ip"
        yield f"networks6_{self.name}", "type ipv6_addr; flags interval;", "ip6"

    def rules(self) -> Iterator[str]:
        """Yield the rules for what the zone's clients send."""
        if self.client_to_client:
            for name, _, family in self.sets():
                yield f"{family} daddr @{name} accept"
        for allowed in self.allow or ():
            yield f"{_match(allowed)} accept"
        yield f"oifname @our_devices {REJECT}"
        yield "accept" if self.allow is None else REJECT


class Firewall:
    """The table; an asynchronous context manager, which removes it on leaving."""

    def __init__(self, run_nft: RunNft | None = None) -> None:
        self._run = run_nft or run_nft_program
        self._zones: dict[str, Zone] = {}
        self._devices: tuple[str, ...] = ()
        self._members: dict[str, dict[IpNetwork, None]] = {}
        self._script: list[str] = []
        self._wanted = asyncio.Event()
        self._running = asyncio.Lock()
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to make changes."""
        self._worker = asyncio.create_task(self._make_changes())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Remove the table, if it was made, once no change of it is under way."""
        async with self._running:
            if self._worker is not None:
                self._worker.cancel()
                self._worker = None
            if self._zones:
                try:
                    await self._run(REMOVE)
                except FirewallError as error:
                    _log.warning("the table %s could not be removed: %s", TABLE, error)

    async def bring_up(self, zones: Iterable[Zone], devices: Collection[str]) -> None:
        """Separate these zones, whose clients are behind these devices. Raises FirewallError."""
        self._zones = {zone.name: zone for zone in zones}
        self._devices = tuple(devices)
        try:
            await self._run(self.ruleset())
        except FirewallError:
            self._zones = {}
            raise

    async def replace(self, zones: Iterable[Zone], devices: Collection[str]) -> None:
        """Judge by other zones from now on; clients stay in theirs.

        Raises FirewallError; then all is as it was before. Does nothing any more on leaving.
        """
        before = self._zones, self._devices
        after = {zone.name: zone for zone in zones}, tuple(devices)
        if after == before:
            return
        async with self._running:
            if self._worker is None:
                return
            self._zones, self._devices = after
            self._script.clear()
            try:
                await self._run(self.ruleset())
            except FirewallError:
                self._zones, self._devices = before
                # What has come meanwhile was for the new zones.
                self._script = [self.ruleset()]
                self._wanted.set()
                raise

    def forget_devices(self, devices: Collection[str]) -> None:
        """Judge no more what comes from devices that are gone. Made soon."""
        if devices:
            self._devices = tuple(name for name in self._devices if name not in devices)
            self._script.append(f"delete element {TABLE} our_devices {{ {_quoted(devices)} }}")
            self._wanted.set()

    def add(self, zone: str, network: IpNetwork) -> None:
        """Let a client's address or network belong to a zone. Made soon."""
        self._change("add", zone, network)
        self._members.setdefault(zone, {})[network] = None

    def remove(self, zone: str, network: IpNetwork) -> None:
        """Take back what `add` did; harmless where it did nothing."""
        members = self._members.get(zone, {})
        if network in members:
            del members[network]
            self._change("delete", zone, network)

    def ruleset(self) -> str:
        """Return the script that makes the whole table anew, with all that is known."""
        lines = [
            f"add table {TABLE}",
            f"delete table {TABLE}",
            f"table {TABLE} {{",
            f"  set our_devices {{ type ifname; elements = {{ {_quoted(self._devices)} }}; }}",
        ]
        for zone in self._zones.values():
            lines += (f"  set {name} {{ {kind} }}" for name, kind, _ in zone.sets())
        for zone in self._zones.values():
            lines += [f"  chain from_{zone.name} {{", *(f"    {r}" for r in zone.rules()), "  }"]
        lines.append("  chain forward {")
        lines.append("    type filter hook forward priority filter; policy accept;")
        lines.append("    iifname != @our_devices accept")
        lines.append("    ct state established,related accept")
        for zone in self._zones.values():
            lines += (
                f"    {family} saddr @{name} jump from_{zone.name}"
                for name, _, family in zone.sets()
            )
        lines += ["    drop", "  }", "}"]
        for name, members in self._members.items():
            if name in self._zones:
                lines += (_element("add", self._zones[name], network) for network in members)
        return "\n".join(lines) + "\n"

    def _change(self, command: str, zone: str, network: IpNetwork) -> None:
        if zone in self._zones:
            self._script.append(_element(command, self._zones[zone], network))
            self._wanted.set()

    async def _make_changes(self) -> None:
        """Make what is wanted; after a failure, make all anew, so that nobody stays locked out."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            async with self._running:
                await self._change_now()

    async def _change_now(self) -> None:
        script, self._script = "\n".join(self._script) + "\n", []
        try:
            await self._run(script)
        except FirewallError as error:
            _log.warning("a change of the table %s failed, making it anew: %s", TABLE, error)
            self._script.clear()
            try:
                await self._run(self.ruleset())
            except FirewallError as again:
                _log.error("the table %s is not as it should be: %s", TABLE, again)


def _quoted(devices: Iterable[str]) -> str:
    return ", ".join(f'"{device}"' for device in devices)


def _element(command: str, zone: Zone, network: IpNetwork) -> str:
    value = network.network_address if network.num_addresses == 1 else network
    return f"{command} element {TABLE} {zone.set_of(network)} {{ {value} }}"


async def remove_leftover() -> None:
    """Remove the table that a killed server has left, for one that needs none itself."""
    with suppress(FirewallError):
        await run_nft_program(REMOVE)


async def run_nft_program(script: str) -> None:
    """Give a script to nft(8). Raises FirewallError."""
    try:
        process = await asyncio.create_subprocess_exec(
            "nft",
            "-f",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise FirewallError(
            f"nft cannot be run ({error.strerror}): install the package nftables, or set "
            "server.firewall to false if nothing is to keep the departments apart"
        ) from error
    talk = asyncio.create_task(process.communicate(script.encode()))
    try:
        _, complaint = await asyncio.shield(talk)
    except asyncio.CancelledError:
        # Who removes the table must not do so before what is under way has made it.
        await talk
        raise
    if process.returncode:
        raise FirewallError(complaint.decode(errors="replace").strip() or "nft failed")
