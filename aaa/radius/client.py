"""A RADIUS client without I/O: requests to several servers, until one of them answers.

How this works (RFC 2865 section 2.5, RFC 5080 section 2.2.1). A request goes to the first
server that is thought to be alive, and again after each pause of `retransmission`, the same
octets each time, so that a server knows the repetition. What it has let pass goes on to the next
server. If it has answered nothing else meanwhile either, it is taken for dead for a while: new
requests, and those that wait in line for it, begin elsewhere. If all are thought to be dead they
are tried in order all the same. A server may ignore a single request that it does not like, and
whoever causes that shall not turn all others away from it.

An identifier has 8 bits, so one socket can have 256 requests under way to a server. Each
server gets `CHANNELS` of them; what is beyond waits in line.
"""

from collections import Counter, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from aaa.radius.constants import AttributeType, Code
from aaa.radius.packet import (
    AUTHENTICATOR_LENGTH,
    Attribute,
    Attributes,
    Packet,
    access_request,
    answers,
    proves,
    signed_request,
)
from wire import Deadlines, DecodeError, Entropy

CHANNELS: Final = 4
IDENTIFIERS: Final = 256
MAX_WAITING: Final = 4096
"""Requests that may wait in line; one more fails at once."""

ANSWERS: Final = {
    Code.ACCESS_REQUEST: (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE),
    Code.ACCOUNTING_REQUEST: (Code.ACCOUNTING_RESPONSE,),
}


class Drop(Enum):
    """Why a received packet was dropped."""

    MALFORMED = "malformed"
    UNEXPECTED = "no request waits for it"
    NOT_AUTHENTIC = "the secret differs, or somebody interferes"
    NO_MESSAGE_AUTHENTICATOR = "it has no Message-Authenticator"


@dataclass(frozen=True, slots=True)
class Server:
    """One RADIUS server: its address, port and the secret shared with it.

    `require_message_authenticator` refuses answers to Access-Requests without one, which a
    forger in between could have made (CVE-2024-3596).
    """

    host: str
    port: int
    secret: bytes = field(repr=False)
    require_message_authenticator: bool = True

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Servers in the order of preference, and times in seconds.

    `retransmission` has the pause after each sending to a server; a server that did not answer
    anything by the last of them is taken for dead for `dead_time`.
    """

    servers: tuple[Server, ...]
    retransmission: tuple[float, ...] = (2.0, 3.0, 4.0)
    dead_time: float = 60.0


class Datagram(NamedTuple):
    """A UDP payload for a server, to be sent from the socket with the number `channel`."""

    data: bytes
    server: Server
    channel: int


@dataclass(frozen=True, slots=True)
class Answered:
    """`server` answered the request that the caller knows by `key`."""

    key: Hashable
    server: Server
    code: Code
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No server answered the request; `why` says who was asked and what came, for the log."""

    key: Hashable
    why: str


Event = Answered | Unanswered


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place for one request under way: what an answer must come back to."""

    server: Server
    channel: int
    identifier: int


@dataclass(slots=True, eq=False)
class _Request:
    key: Hashable
    code: Code
    attributes: tuple[Attribute, ...]
    untried: list[Server]
    slot: _Slot | None = None
    authenticator: bytes = b""
    octets: bytes = field(default=b"", repr=False)
    began: float = 0.0
    sent: int = 0
    asked: list[str] = field(default_factory=list)


class Client:
    """Requests under way to the servers of one configuration; `counters` counts drops."""

    def __init__(self, config: ClientConfig, entropy: Entropy) -> None:
        self._config = config
        self._entropy = entropy
        self._requests: dict[Hashable, _Request] = {}
        self._slots: dict[_Slot, _Request] = {}
        self._free = {server: deque(_slots(server)) for server in config.servers}
        self._waiting: deque[_Request] = deque()
        self._dead_until: dict[Server, float] = {}
        self._heard: dict[Server, float] = {}
        self._answers: dict[Server, bool] = {}
        self._deadlines: Deadlines[Hashable] = Deadlines()
        self._outbox: list[Datagram] = []
        self._events: deque[Event] = deque()
        self._silence: dict[Server, Drop] = {}
        self.counters: Counter[Drop] = Counter()

    def request(
        self,
        key: Hashable,
        code: Code,
        attributes: Sequence[Attribute],
        now: float,
        only: Server | None = None,
    ) -> None:
        """Ask; `Answered` or `Unanswered` with this `key` tells how it ended.

        With `only` no other server is asked: it is that one's question that this answers.
        A request with a key that is under way takes the place of the one before it.
        """
        self.cancel(key, now)
        servers = self._preference(now) if only is None else [only]
        request = _Request(key, code, tuple(attributes), servers)
        if len(self._waiting) >= MAX_WAITING:
            self._events.append(Unanswered(key, f"{MAX_WAITING} requests wait for an answer"))
            return
        self._requests[key] = request
        self._begin(request, now)

    def cancel(self, key: Hashable, now: float) -> None:
        """Forget a request; it need not be under way."""
        request = self._requests.pop(key, None)
        if request is not None:
            self._end(request, now)

    def receive(self, data: bytes, server: Server, channel: int, now: float) -> None:
        """Take a UDP payload that came from the address of `server` to the socket `channel`."""
        try:
            packet = Packet.parse(data)
            request = self._slots.get(_Slot(server, channel, packet.identifier))
            if request is None or packet.code not in ANSWERS[request.code]:
                self._drop(Drop.UNEXPECTED)
                return
            fault = self._fault(packet, request, server)
        except DecodeError:
            self._drop(Drop.MALFORMED)
            return
        if fault is not None:
            self._silence[server] = fault
            self._drop(fault)
            return
        self._silence.pop(server, None)
        self._dead_until.pop(server, None)
        self._heard[server], self._answers[server] = now, True
        self._events.append(Answered(request.key, server, packet.code, packet.attributes))
        self.cancel(request.key, now)

    def handle_timeout(self, now: float) -> None:
        """Send again, or elsewhere, what was not answered."""
        for key in self._deadlines.take_due(now):
            request = self._requests[key]
            if request.sent < len(self._config.retransmission):
                self._send(request, now)
            else:
                self._give_up(request, now)

    def next_timeout(self) -> float | None:
        """Return when something is due, or None."""
        return self._deadlines.next()

    def datagrams_to_send(self) -> list[Datagram]:
        """Return what is to be sent, and forget it."""
        datagrams, self._outbox = self._outbox, []
        return datagrams

    def next_event(self) -> Event | None:
        """Return the next event, or None."""
        return self._events.popleft() if self._events else None

    def answering(self) -> dict[Server, bool | None]:
        """Return of each server whether it answered what it was last asked; None: not asked yet."""
        return {server: self._answers.get(server) for server in self._config.servers}

    def _preference(self, now: float) -> list[Server]:
        """Return the servers in order, those that are thought to be dead last."""
        return sorted(self._config.servers, key=lambda server: self._is_dead(server, now))

    def _is_dead(self, server: Server, now: float) -> bool:
        return self._dead_until.get(server, now) > now

    def _begin(self, request: _Request, now: float) -> None:
        """Ask the next server, or wait in line for a place, or fail."""
        if not request.untried:
            del self._requests[request.key]
            asked = ", ".join(request.asked)
            self._events.append(Unanswered(request.key, f"no RADIUS server answers: {asked}"))
            return
        server = request.untried[0]
        if not self._free[server]:
            self._waiting.append(request)
            return
        request.untried.pop(0)
        slot = request.slot = self._free[server].popleft()
        self._slots[slot] = request
        request.began, request.sent = now, 0
        if request.code == Code.ACCESS_REQUEST:
            request.authenticator = self._entropy(AUTHENTICATOR_LENGTH)
            request.octets = access_request(
                slot.identifier, request.authenticator, request.attributes, server.secret
            )
        else:
            request.octets = signed_request(
                request.code, slot.identifier, request.attributes, server.secret
            )
            request.authenticator = Packet.parse(request.octets).authenticator
        self._send(request, now)

    def _send(self, request: _Request, now: float) -> None:
        if request.slot is not None:
            pause = self._config.retransmission[request.sent]
            request.sent += 1
            self._outbox.append(Datagram(request.octets, request.slot.server, request.slot.channel))
            self._deadlines.set(request.key, now + pause)

    def _give_up(self, request: _Request, now: float) -> None:
        """Turn to the next server."""
        if request.slot is not None:
            server = request.slot.server
            if self._heard.get(server, request.began) <= request.began:
                self._take_for_dead(server, now)
            silence = self._silence.get(server)
            reason = "" if silence is None else f" (what came from it was dropped: {silence.value})"
            request.asked.append(f"{server}{reason}")
        self._end(request, now)
        self._begin(request, now)

    def _take_for_dead(self, server: Server, now: float) -> None:
        """Let those that wait in line for the server begin at one that is alive, if there is."""
        was_dead = self._is_dead(server, now)
        self._dead_until[server] = now + self._config.dead_time
        self._answers[server] = False
        if was_dead:
            return
        for waiting in [waiting for waiting in self._waiting if waiting.untried[0] == server]:
            waiting.untried.sort(key=lambda other: self._is_dead(other, now))
            if waiting.untried[0] != server:
                self._waiting.remove(waiting)
                self._begin(waiting, now)

    def _end(self, request: _Request, now: float) -> None:
        """Give a request's place to the first that waits for it."""
        self._deadlines.clear(request.key)
        slot, request.slot = request.slot, None
        if slot is None:
            if request in self._waiting:
                self._waiting.remove(request)
            return
        del self._slots[slot]
        self._free[slot.server].append(slot)
        for waiting in self._waiting:
            if waiting.untried[0] == slot.server:
                self._waiting.remove(waiting)
                self._begin(waiting, now)
                break

    @staticmethod
    def _fault(packet: Packet, request: _Request, server: Server) -> Drop | None:
        if not answers(packet, request.authenticator, server.secret):
            return Drop.NOT_AUTHENTIC
        # RFC 3579 section 3.1: what carries EAP is nothing without; nor is what answers it.
        has_eap = any(
            attribute.type == AttributeType.EAP_MESSAGE
            for attribute in (*packet.attributes, *request.attributes)
        )
        is_access = request.code == Code.ACCESS_REQUEST
        demanded = is_access and (server.require_message_authenticator or has_eap)
        if demanded and proves(packet, request.authenticator, server.secret) is None:
            return Drop.NO_MESSAGE_AUTHENTICATOR
        return None

    def _drop(self, reason: Drop) -> None:
        self.counters[reason] += 1


def _slots(server: Server) -> list[_Slot]:
    """Return the places at a server; those of the first socket come first."""
    return [
        _Slot(server, channel, identifier)
        for channel in range(CHANNELS)
        for identifier in range(IDENTIFIERS)
    ]
