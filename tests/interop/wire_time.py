"""How long a client waits for the server while it logs in, read from the wire.

From the first IKE packet to the last Configure-Ack of IPCP, each gap between two packets is
charged to the side that ended it by sending: the other one had nothing to do but wait. Seen at
the server's interface, so the way there and back is the client's time too.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.interop import tshark


class Packet(NamedTuple):
    """One packet: when (seconds), from which address, and the name and summary of its innards."""

    time: float
    source: str
    protocol: str
    summary: str


class Waits(NamedTuple):
    """Seconds that each side was waited for, and the longest wait for the server."""

    server: float
    client: float
    longest: float


def packets(capture: Path, esp_keys: str) -> list[Packet]:
    """Return the packets of a capture, decrypted with the keys that `ip xfrm state` says."""
    names = ("frame.time_epoch", "ip.src", "_ws.col.Protocol", "_ws.col.Info")
    return [
        Packet(float(time), sources.split(",")[0], protocol, summary)
        for time, sources, protocol, summary in tshark.fields(capture, "ip", names, esp_keys)
    ]


def waits(seen: Iterable[Packet], server: str) -> Waits:
    """Charge the gaps of one login. ValueError where it is not all there."""
    login = list(seen)
    starts = [n for n, packet in enumerate(login) if packet.protocol == "ISAKMP"]
    ends = [
        n
        for n, packet in enumerate(login)
        if packet.protocol == "PPP IPCP" and packet.summary.startswith("Configuration Ack")
    ]
    if not starts or len(ends) < 2:
        raise ValueError("no whole login, from IKE to both Configure-Acks of IPCP")
    charged: dict[bool, list[float]] = {True: [], False: []}
    for before, after in pairwise(login[starts[0] : ends[1] + 1]):
        charged[after.source == server].append(after.time - before.time)
    return Waits(sum(charged[True]), sum(charged[False]), max(charged[True]))
