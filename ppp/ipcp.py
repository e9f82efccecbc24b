"""The IP Control Protocol: RFC 1332, and the name servers of RFC 1877.

A server tells its own address and Naks whatever the peer asks for until it is what was assigned;
a client asks for everything as 0.0.0.0 and takes what it is told. Compression (RFC 1332 section
4) and all else is rejected.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address

from ppp.automaton import Automaton, Surroundings
from ppp.config import Assignment, LinkConfig
from ppp.constants import IpcpOption, Protocol
from ppp.events import Reason
from ppp.packet import Option

FIRST_RESTART = 1.0
"""The first Restart time, in seconds: a peer whose LCP is open answers without delay."""

UNKNOWN = IPv4Address(0)
"""The address that asks to be told one (RFC 1332 section 3.3)."""


class IpcpServer(Automaton):
    """IPCP of the end that assigns; `assign` comes before `up`."""

    __slots__ = ("_offer", "_own", "assignment")

    protocol = Protocol.IPCP

    def __init__(self, config: LinkConfig, link: Surroundings) -> None:
        super().__init__(config, link, FIRST_RESTART)
        self.assignment: Assignment | None = None
        self._own: list[Option] = []
        self._offer: dict[int, Option] = {}

    def assign(self, assignment: Assignment) -> None:
        """Set what is told to the peer."""
        self.assignment = assignment
        self._own = [_address(IpcpOption.IP_ADDRESS, assignment.gateway)]
        dns = (IpcpOption.PRIMARY_DNS, IpcpOption.SECONDARY_DNS)
        nbns = (IpcpOption.PRIMARY_NBNS, IpcpOption.SECONDARY_NBNS)
        told = [
            (IpcpOption.IP_ADDRESS, assignment.address),
            *zip(dns, assignment.dns, strict=False),
            *zip(nbns, assignment.nbns, strict=False),
        ]
        self._offer = {option: _address(option, address) for option, address in told}

    def request_options(self) -> list[Option]:
        """Tell our own address, unless the peer does not want to know."""
        return self._own

    def judge(self, option: Option) -> Option | None:
        """Answer with the right value; reject what there is none of."""
        return self._offer.get(option.type)

    def missing(self, options: Sequence[Option]) -> list[Option]:
        """Prompt a peer that did not ask for an address to do so (RFC 1332 section 3.3)."""
        if any(option.type == IpcpOption.IP_ADDRESS for option in options):
            return []
        return [self._offer[IpcpOption.IP_ADDRESS]]

    def accept(self, options: Sequence[Option]) -> None:
        """The peer has what was assigned; one that asks for no address uses it all the same."""

    def take_nak(self, options: Sequence[Option], now: float) -> None:
        """Insist: our address is not for the peer to choose."""

    def take_reject(self, options: Sequence[Option], now: float) -> None:
        """Keep our address to ourselves."""
        self._own = []


class IpcpClient(Automaton):
    """IPCP of the end that asks. When open: `local`, `remote` and `dns`."""

    __slots__ = ("_wanted", "remote")

    protocol = Protocol.IPCP

    def __init__(self, config: LinkConfig, link: Surroundings) -> None:
        super().__init__(config, link, FIRST_RESTART)
        wanted = (IpcpOption.IP_ADDRESS, IpcpOption.PRIMARY_DNS, IpcpOption.SECONDARY_DNS)
        self._wanted: dict[int, IPv4Address] = dict.fromkeys(wanted, UNKNOWN)
        self.remote: IPv4Address | None = None

    @property
    def local(self) -> IPv4Address:
        """Our address."""
        return self._wanted.get(IpcpOption.IP_ADDRESS, UNKNOWN)

    @property
    def dns(self) -> tuple[IPv4Address, ...]:
        """The name servers that we were told."""
        told = (IpcpOption.PRIMARY_DNS, IpcpOption.SECONDARY_DNS)
        addresses = (self._wanted.get(option, UNKNOWN) for option in told)
        return tuple(address for address in addresses if address != UNKNOWN)

    def request_options(self) -> list[Option]:
        """Ask for what we have, which at first is nothing."""
        return [_address(option, address) for option, address in self._wanted.items()]

    def judge(self, option: Option) -> Option | None:
        """Take the peer's own address; there is nothing that we could tell it."""
        if option.type != IpcpOption.IP_ADDRESS or len(option.data) != 4 or not any(option.data):
            return None
        return option

    def accept(self, options: Sequence[Option]) -> None:
        """Take note of the peer's address."""
        addresses = [IPv4Address(option.data) for option in options]
        self.remote = addresses[0] if addresses else None

    def take_nak(self, options: Sequence[Option], now: float) -> None:
        """Take what we are told."""
        for option in options:
            if option.type in self._wanted and len(option.data) == 4:
                self._wanted[option.type] = IPv4Address(option.data)

    def take_reject(self, options: Sequence[Option], now: float) -> None:
        """Do without."""
        for option in options:
            self._wanted.pop(option.type, None)

    def this_layer_up(self, now: float) -> None:
        """Be open, unless that is of no use without an address."""
        if self.local == UNKNOWN:
            self._link.give_up(Reason.NOT_CONVERGED, "the peer assigns no address", now)
        else:
            super().this_layer_up(now)


def _address(option: int, address: IPv4Address) -> Option:
    return Option(option, address.packed)
