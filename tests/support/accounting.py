"""A RADIUS server for accounting that notes what it hears, and clients that log in anew."""

from dataclasses import dataclass, field, replace

from aaa.radius.client import Datagram, Server
from aaa.radius.constants import AcctStatusType, AttributeType, Code
from aaa.radius.packet import Packet
from ppp.config import Credentials
from ppp.link import Link
from tests.support.client import ClientHost
from tests.support.freeradius import SECRET
from tests.support.lab import PASSWORD, Lab
from tests.support.radius_lab import reply, settings_for

ACCOUNTING = Server("192.0.2.10", 1813, SECRET)
SETTINGS = settings_for(servers=(), accounting_servers=(ACCOUNTING,), dynamic=None)

Heard = tuple[str, str]
"""Acct-Session-Id and the status."""


@dataclass
class Accountant:
    """`heard` is all that came while it was `up`; `deaf` answers nothing all the same."""

    up: bool = True
    mute: bool = False
    requests: list[Packet] = field(default_factory=list)

    def __call__(self, request: Datagram) -> bytes | None:
        if not self.up:
            return None
        self.requests.append(Packet.parse(request.data))
        return None if self.mute else reply(request, Code.ACCOUNTING_RESPONSE)

    @property
    def heard(self) -> list[Heard]:
        return [(text(one, AttributeType.ACCT_SESSION_ID), status(one)) for one in self.requests]

    def of_sessions(self) -> list[Heard]:
        """What was heard of sessions, each event once."""
        return list(dict.fromkeys(pair for pair in self.heard if not pair[1].startswith("ACC")))

    def told(self, which: str) -> list[Packet]:
        return [one for one in self.requests if status(one) == which]


def status(packet: Packet) -> str:
    return str(AcctStatusType(packet.attributes.number(AttributeType.ACCT_STATUS_TYPE) or 0))


def text(packet: Packet, kind: AttributeType) -> str:
    return packet.attributes.text(kind) or ""


def log_in_anew(lab: Lab, client: ClientHost, name: str) -> None:
    """Let a client negotiate LCP once more on its call, and be somebody else."""
    config = replace(client._link_config, credentials=Credentials(name, PASSWORD))
    client.link = Link(config, lab.simulation.entropy())
    client.link.start(lab.simulation.now)
    client._settle(lab.simulation.now)
