"""The way of IP packets to a call: its record in the data plane, and the routes that lead there."""

from collections.abc import Callable
from ipaddress import IPv4Network

from aaa import Aaa
from aaa.directory import prefix_number
from l2gate.calls import Call, within
from l2gate.events import Event, RouteAdded, RouteRemoved
from l2gate.records import SessionRecord, Tables
from ppp.events import NetworkOpened
from wire import LocalError


class Routing:
    """Opens and closes the ways to calls, and says how wide they are."""

    def __init__(self, tables: Tables, aaa: Aaa, mtu: int, tell: Callable[[Event], None]) -> None:
        """`mtu` is the most that is sent to any peer, in octets; `tell` takes the events."""
        self._tables = tables
        self._aaa = aaa
        self._mtu = mtu
        self._tell = tell

    def mtu_of(self, call: Call) -> int:
        """Return the most that the call's department lets be sent to it, in octets."""
        mtu = self._aaa.policy(call.session).mtu
        return self._mtu if mtu is None else min(mtu, self._mtu)

    def limit(self, call: Call) -> None:
        """Let the call's rates be those of its policy."""
        if call.record is not None:
            policy = self._aaa.policy(call.session)
            call.record.limit(policy.rate_up, policy.rate_down)

    def open(self, call: Call, event: NetworkOpened) -> SessionRecord:
        """Let IPv4 flow to a call that has a lease."""
        if call.department is None or call.lease is None:
            raise LocalError("a network without a lease")
        call.record = record = call.new_record(event, within(call.peer, self.mtu_of(call)))
        self.limit(call)
        self._tables.add_session(record)
        address, gateway, zone = call.lease.address, call.department.gateway, _zone(call)
        proxy_arp = self._aaa.policy(call.session).proxy_arp and address in call.department.pool
        self._tell(RouteAdded(IPv4Network(address), gateway, zone, record.interface, proxy_arp))
        for network in call.routes:
            self._tell(RouteAdded(network, gateway, zone, record.interface))
        return record

    def open_ipv6(self, call: Call) -> bool:
        """Let IPv6 flow to a call whose network is open; return whether it has a prefix."""
        gateway6 = call.department.gateway6 if call.department is not None else None
        if call.record is None or call.prefix is None or gateway6 is None:
            return False
        number = prefix_number(call.prefix.network_address)
        self._tables.add_prefix(call.record, number, int(gateway6))
        self._tell(RouteAdded(call.prefix, gateway6, _zone(call), call.record.interface))
        return True

    def close_ipv6(self, call: Call) -> None:
        """Let IPv6 flow no more, if it does."""
        if call.record is not None and call.record.prefix is not None and call.prefix is not None:
            self._tables.remove_prefix(call.record)
            self._tell(RouteRemoved(call.prefix, _zone(call)))

    def close(self, call: Call) -> None:
        """Let nothing flow any more to a call whose network is open."""
        if call.record is None:
            return
        self.close_ipv6(call)
        self._tables.remove_session(call.record)
        for network in (IPv4Network(call.record.address), *call.record.routes):
            self._tell(RouteRemoved(network, _zone(call)))


def _zone(call: Call) -> str:
    """Return the department that a call was accepted in."""
    return call.department.name if call.department is not None else ""
