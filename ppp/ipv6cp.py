"""The IPv6 Control Protocol: RFC 5072.

All that it negotiates is the interface identifier of each end (section 4.1): the lower half of
its link-local address. Addresses come from the router that the server is (`ppp.router`).

Unlike IPCP a link can do without it: an end that refuses, stays silent or is never content
keeps IPv4, and whatever fails here ends this layer and nothing else.
"""

from collections.abc import Sequence

from ppp.automaton import Automaton, Surroundings
from ppp.config import LinkConfig
from ppp.constants import Ipv6cpOption, Protocol
from ppp.events import Reason
from ppp.ipcp import FIRST_RESTART
from ppp.packet import Option
from ppp.transitions import Event
from wire import Entropy

IDENTIFIER_LENGTH = 8
UNKNOWN = bytes(IDENTIFIER_LENGTH)
"""The identifier that asks to be told one (RFC 5072 section 4.1)."""

SERVER = bytes(7) + b"\x01"
"""What a server calls itself at first: its link-local address is fe80::1."""

_UNIVERSAL = 0x02
"""The bit of the first octet that would claim a globally unique identifier."""


class Ipv6cp(Automaton):
    """IPV6CP of either end. When open: the identifiers `local` and `remote`, both of 8 octets."""

    __slots__ = ("_entropy", "_is_told", "local", "remote")

    protocol = Protocol.IPV6CP

    def __init__(self, config: LinkConfig, link: Surroundings, entropy: Entropy) -> None:
        super().__init__(config, link, FIRST_RESTART)
        self._entropy = entropy
        self.local = SERVER if config.credentials is None else self._new_identifier()
        self.remote = UNKNOWN
        self._is_told = True
        """Whether the peer wants to know our identifier."""

    def request_options(self) -> list[Option]:
        """Tell our identifier."""
        return [_identifier(self.local)] if self._is_told else []

    def judge(self, option: Option) -> Option | None:
        """Take any identifier but none and our own; reject compression and all else."""
        if option.type != Ipv6cpOption.INTERFACE_IDENTIFIER:
            return None
        if len(option.data) != IDENTIFIER_LENGTH or option.data in (UNKNOWN, self.local):
            return _identifier(self._new_identifier())
        return option

    def missing(self, options: Sequence[Option]) -> list[Option]:
        """Prompt a peer that tells no identifier to take one."""
        if any(option.type == Ipv6cpOption.INTERFACE_IDENTIFIER for option in options):
            return []
        return [_identifier(self._new_identifier())]

    def accept(self, options: Sequence[Option]) -> None:
        """Take note of the peer's identifier; one that has none chooses its addresses itself."""
        self.remote = options[0].data if options else UNKNOWN

    def take_nak(self, options: Sequence[Option], now: float) -> None:
        """Take what the peer suggests, or if that is no good another one."""
        for option in options:
            if option.type == Ipv6cpOption.INTERFACE_IDENTIFIER:
                wanted = option.data
                good = len(wanted) == IDENTIFIER_LENGTH and wanted not in (UNKNOWN, self.remote)
                self.local = wanted if good else self._new_identifier()

    def take_reject(self, options: Sequence[Option], now: float) -> None:
        """Keep our identifier to ourselves."""
        self._is_told = False

    def give_up(self, reason: Reason, why: str, now: float) -> None:
        """End this layer alone."""
        self.close(reason, why, now)

    def protocol_rejected(self, now: float) -> None:
        """Take LCP's word that the peer does not know this protocol (RFC 1661 section 5.7)."""
        if self.is_lower_layer_up:
            self._note(Reason.PROTOCOL_REJECTED, f"the peer rejects {self.protocol}")
            self._handle(Event.RXJ_MINUS, now)

    def _new_identifier(self) -> bytes:
        """Return a random identifier, other than either end's."""
        while True:
            first, *rest = self._entropy(IDENTIFIER_LENGTH)
            identifier = bytes([first & ~_UNIVERSAL, *rest])
            if identifier not in (UNKNOWN, SERVER):
                return identifier


def _identifier(identifier: bytes) -> Option:
    return Option(Ipv6cpOption.INTERFACE_IDENTIFIER, identifier)
