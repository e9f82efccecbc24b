"""One end of a PPP link: the phases of RFC 1661 section 3, and who gets which frame.

How this works: LCP comes up first (Establish), then whoever must proves who he is
(Authenticate), then IPCP comes up (Network). The link follows This-Layer-Up and -Down of the
two automatons; it has no table of its own, because the phase is nothing but which of them is
open. Nothing waits for the peer that could be sent before: the Challenge leaves with LCP's last
Configure-Ack, the first IPCP Configure-Request with the Success. IP packets pass the link by; of
those that it is given it answers DHCPINFORM and, where there is IPv6, what is for the router.

IPV6CP runs beside IPCP where a server's assignment has a prefix or a client wants it. A link
without IPCP is of no use; one without IPV6CP is.

Timers, besides those of the layers: `_authentication_deadline`, until when the peer must have
sent its proof (a client: must be accepted). It does not run while a proof is verified, however
long that takes, but does again where the peer has yet to answer the verdict.
"""

from enum import Enum

from ppp import dhcp, network6
from ppp.authentication import Authenticator, Peer, Verdict
from ppp.automaton import Automaton
from ppp.chap import ChapAuthenticator, ChapPeer
from ppp.config import Assignment, Credentials, EapMethod, LinkConfig, Method
from ppp.constants import Protocol
from ppp.eap import EapAuthenticator
from ppp.eap_peer import EapPeer
from ppp.eap_relay import EapRelay
from ppp.eap_server import EapServer
from ppp.events import (
    Authenticated,
    AuthenticationRequested,
    Event,
    Ipv6Closed,
    Ipv6Opened,
    LinkClosed,
    LinkOpened,
    NetworkClosed,
    NetworkOpened,
    Reason,
)
from ppp.frame import Frame
from ppp.ipcp import IpcpClient, IpcpServer
from ppp.lcp import Lcp
from ppp.network6 import Network6
from ppp.packet import Packet
from ppp.pap import PapAuthenticator, PapPeer
from ppp.proofs import Proof
from ppp.transitions import State
from wire import DecodeError, Entropy, LocalError, Reader
from wire.types import Octets

_PROTOCOLS = {
    Method.MS_CHAP_V2: Protocol.CHAP,
    Method.CHAP_MD5: Protocol.CHAP,
    Method.PAP: Protocol.PAP,
    Method.EAP: Protocol.EAP,
}


class Phase(Enum):
    """RFC 1661 section 3.2."""

    DEAD = "dead"
    ESTABLISH = "establish"
    AUTHENTICATE = "authenticate"
    NETWORK = "network"
    TERMINATE = "terminate"


class Link:
    """One end of a PPP link; server or client according to its configuration.

    Frames begin with Address and Control or, if the peer compresses, without (see `ppp.frame`).
    Times are seconds of the caller's clock. A peer can make the link close, never raise.
    """

    __slots__ = (
        "_authentication_deadline",
        "_authenticator",
        "_chap_peers",
        "_config",
        "_entropy",
        "_events",
        "_frames",
        "_hint",
        "_ipcp",
        "_is_network_open",
        "_lcp",
        "_name",
        "_network6",
        "_peer",
        "_proof",
        "_request",
        "malformed",
        "phase",
    )

    def __init__(self, config: LinkConfig, entropy: Entropy) -> None:
        if not config.methods:
            raise LocalError("a link needs at least one authentication method")
        if Method.EAP in config.methods and not config.eap_methods:
            raise LocalError("EAP needs at least one method of its own")
        if EapMethod.TLS in config.eap_methods and config.tls is None:
            raise LocalError("EAP-TLS needs a certificate")
        self._config = config
        self._entropy = entropy
        self.phase = Phase.DEAD
        self.malformed = 0
        """Frames that could not be decoded."""
        self._frames: list[bytes] = []
        self._events: list[Event] = []
        self._lcp = Lcp(config, self, entropy)
        self._ipcp: IpcpServer | IpcpClient = (
            IpcpServer(config, self) if config.credentials is None else IpcpClient(config, self)
        )
        self._network6: Network6 | None = None
        self._authenticator: Authenticator | None = None
        self._peer: Peer | None = None
        self._chap_peers: dict[Method, ChapPeer] = {}
        self._authentication_deadline: float | None = None
        self._request = 0
        self._proof: Proof | None = None
        self._hint = ""
        self._name = ""
        """Who the peer is, once that is proven."""
        self._is_network_open = False

    # What the program calls.

    def start(self, now: float) -> None:
        """The session under the link is up: begin. Raises LocalError if it has begun before."""
        if self._lcp.state is not State.INITIAL:
            raise LocalError("a link starts once")
        self._lcp.open(now)
        self._ipcp.open(now)
        self._establish(now)
        self._lcp.up(now)

    def receive(self, frame: Octets, now: float) -> None:
        """Take a frame from the peer. What cannot be decoded is dropped and counted."""
        try:
            self._receive(Frame.parse(Reader(frame)), now)
        except DecodeError:
            self.malformed += 1

    def peer_is_alive(self) -> None:
        """Take it that the peer is alive: its data, which does not come here, shows it."""
        self._lcp.peer_is_alive()

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        if self._authentication_deadline is not None and now >= self._authentication_deadline:
            self._authentication_deadline = None
            why = f"no authentication within {self._config.authentication_timeout:g} s"
            self.give_up(Reason.AUTHENTICATION_TIMED_OUT, why, now)
        self._lcp.handle_timeout(now)
        for end in (self._authenticator, self._peer):
            if end is not None:
                end.handle_timeout(now)
        if self._authenticator is not None and self._ipcp.is_due(now) and not self._ipcp.heard:
            # A peer that missed its Success drops IPCP, and need not repeat its Response.
            self._authenticator.repeat()
        self._ipcp.handle_timeout(now)
        if self._network6 is not None:
            self._send_ipv6(self._network6.handle_timeout(now))

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, or None."""
        timers = [self._lcp.next_timeout(), self._ipcp.next_timeout()]
        timers += [end.next_timeout() for end in (self._authenticator, self._peer) if end]
        timers.append(self._authentication_deadline)
        timers += [self._network6.next_timeout()] if self._network6 is not None else []
        return min((timer for timer in timers if timer is not None), default=None)

    def frames_to_send(self) -> list[bytes]:
        """Return what must be sent to the peer, oldest first, and forget it."""
        frames, self._frames = self._frames, []
        return frames

    def next_event(self) -> Event | None:
        """Return the oldest event and forget it, or None."""
        return self._events.pop(0) if self._events else None

    def authenticated(self, request: int, reply: bytes, now: float) -> None:
        """Answer an AuthenticationRequested: the proof is right. `reply` is from its `verify`.

        Without effect if the request is not the last one, or the link has ended; if it has
        effect, Authenticated follows, with some methods only when the peer has confirmed it.
        """
        if self._authenticator is None or self._proof is None or not self._is_asked(request):
            return
        self._name, self._proof = self._proof.name, None
        if self._authenticator.succeed(reply, now):
            self._authentication_deadline = now + self._config.authentication_timeout
        else:
            self._let_in()

    def rejected(self, request: int, error: int, message: str, now: float) -> None:
        """Answer an AuthenticationRequested: the peer may not in.

        `error` is a number of RFC 2759 section 6 (691: wrong name or password), `message` a
        text for the peer. Without effect where `authenticated` has none.
        """
        if self._authenticator is None or not self._is_asked(request):
            return
        self._proof = None
        if self._authenticator.fail(error, message, now):
            self._authentication_deadline = now + self._config.authentication_timeout
        else:
            self.give_up(Reason.AUTHENTICATION_FAILED, message, now)

    def relay(
        self, request: int, packet: bytes, interval: float | None, is_ignored: bool, now: float
    ) -> None:
        """Answer an AuthenticationRequested of an EapResponse: the server has another Request.

        `packet` is that Request, in whole; it is repeated after each `interval` seconds (None: as
        we do it). `is_ignored` is as in `EapRelay.ask`. Another AuthenticationRequested follows.
        Without effect where `authenticated` has none. Raises DecodeError.
        """
        if isinstance(self._authenticator, EapRelay) and self._is_asked(request):
            self._proof = None
            timeout = self._config.authentication_timeout + (interval or 0.0)
            self._authentication_deadline = now + timeout
            asked = Packet.parse(Reader(packet))
            self._follow(self._authenticator.ask(asked, interval, is_ignored, now), now)

    def go_on_here(self, request: int, now: float) -> None:
        """Answer an AuthenticationRequested of an EapResponse that `begins`: EAP goes on here.

        Without effect where `authenticated` has none.
        """
        if isinstance(self._authenticator, EapRelay) and self._is_asked(request):
            self._proof = None
            self._authentication_deadline = now + self._config.authentication_timeout
            self._follow(self._authenticator.go_on_here(now), now)

    def assign(self, assignment: Assignment, now: float) -> None:
        """Give an authenticated peer its address; IPCP starts, and with a prefix IPV6CP.

        Without effect on a link that is not authenticated (any more). Raises LocalError on a
        client, and where IPCP has its address already.
        """
        if not isinstance(self._ipcp, IpcpServer):
            raise LocalError("a client assigns nothing")
        if self.phase is Phase.NETWORK:
            self._ipcp.assign(assignment)
            self._ipcp.up(now)
            self._start_ipv6(assignment, assignment.prefix is not None, now)

    def terminate(self, why: str, now: float) -> None:
        """End the link; the peer is told `why`. LinkClosed follows when the peer knows."""
        self.give_up(Reason.LOCALLY_TERMINATED, why, now)

    def lower_down(self, now: float) -> None:
        """The session under the link has ended, and with it the link (if not before)."""
        if self.phase is not Phase.DEAD:
            self._lcp.down(now)
            down = (Reason.LOWER_LAYER_DOWN, "the session under the link ended")
            self._close(*(self._lcp.ending or down))

    # Frames.

    def _receive(self, frame: Frame, now: float) -> None:
        """Give a frame to its protocol; sections 3.4 to 3.7 say which may come when."""
        if self.phase is Phase.DEAD:
            return
        if frame.protocol is Protocol.LCP:
            self._lcp.receive(Packet.parse(Reader(frame.information)), now)
        elif self._lcp.state is not State.OPENED:
            return
        elif frame.protocol is self._authentication_protocol:
            self._receive_authentication(Packet.parse(Reader(frame.information)), now)
        elif self.phase is Phase.AUTHENTICATE:
            return
        elif frame.protocol is Protocol.IPCP:
            self._ipcp.receive(Packet.parse(Reader(frame.information)), now)
        elif frame.protocol is Protocol.IPV4:
            self._receive_ipv4(frame.information)
        elif frame.protocol is Protocol.IPV6CP and self._network6 is not None:
            self._network6.receive_control(frame.information, now)
        elif frame.protocol is Protocol.IPV6 and self._network6 is not None:
            self._send_ipv6(self._network6.receive(frame.information))
        else:
            self._lcp.reject_protocol(frame.protocol, frame.information)

    def _receive_ipv4(self, packet: bytes) -> None:
        if self._is_network_open and isinstance(self._ipcp, IpcpServer) and self._ipcp.assignment:
            answer = dhcp.answer(packet, self._ipcp.assignment)
            if answer is not None:
                self._frames.append(Frame(Protocol.IPV4, answer).build())

    def _send_ipv6(self, packet: bytes | None) -> None:
        if packet is not None:
            self._frames.append(Frame(Protocol.IPV6, packet).build())

    @property
    def _authentication_protocol(self) -> Protocol | None:
        return None if self._lcp.method is None else _PROTOCOLS[self._lcp.method]

    def _receive_authentication(self, packet: Packet, now: float) -> None:
        if self._authenticator is not None:
            self._follow(self._authenticator.receive(packet, now), now)
        if self._peer is not None and self._config.credentials is not None:
            verdict = self._peer.receive(packet, now)
            if verdict is not None and not verdict.accepted:
                self.give_up(Reason.AUTHENTICATION_FAILED, verdict.message, now)
            elif verdict is not None and self.phase is Phase.AUTHENTICATE:
                self._events.append(Authenticated(self._config.credentials.name))
                self._ask_for_address(now)

    def _follow(self, said: Proof | Verdict | None, now: float) -> None:
        """Follow what an authenticator says."""
        if isinstance(said, Verdict):
            self._conclude(said, now)
        elif said is not None:
            self._proof = said
            self._request += 1
            self._authentication_deadline = None
            self._events.append(AuthenticationRequested(self._request, said))

    def _is_asked(self, request: int) -> bool:
        """Say whether the program owes an answer to a request."""
        return self._proof is not None and request == self._request

    def _conclude(self, verdict: Verdict, now: float) -> None:
        """Follow a verdict on the peer that was not given by `authenticated` or `rejected`."""
        if verdict.accepted:
            self._let_in()
        else:
            self._hint = verdict.hint
            self.give_up(Reason.AUTHENTICATION_FAILED, verdict.message, now)

    def _let_in(self) -> None:
        self.phase = Phase.NETWORK
        self._authentication_deadline = None
        self._events.append(Authenticated(self._name))

    # What the layers call: `Surroundings`.

    @property
    def peer_mru(self) -> int:
        """The most octets that a packet to the peer may have."""
        return self._lcp.peer_mru

    def send(self, protocol: Protocol, packet: Packet) -> None:
        """Send a packet."""
        self._frames.append(Frame(protocol, packet.build()).build())

    def layer_up(self, layer: Automaton, now: float) -> None:
        """A layer is open: go to the next phase."""
        if layer is self._lcp:
            self._events.append(LinkOpened(self._lcp.peer_mru, self._lcp.method))
            self._authenticate(now)
            return
        if self._network6 is not None and layer is self._network6.cp:
            self._network6.opened(now)
            self._events.append(Ipv6Opened(self._network6.cp.local, self._network6.cp.remote))
            return
        self._is_network_open = True
        mtu = min(self._lcp.peer_mru, self._config.mru)
        if isinstance(self._ipcp, IpcpClient):
            local, remote, dns = self._ipcp.local, self._ipcp.remote, self._ipcp.dns
            self._events.append(NetworkOpened(local, remote, mtu, dns))
        elif self._ipcp.assignment is not None:
            ends = self._ipcp.assignment
            self._events.append(NetworkOpened(ends.gateway, ends.address, mtu))

    def layer_down(self, layer: Automaton, now: float) -> None:
        """A layer is open no more: those above it are not either."""
        if self._network6 is not None and layer is self._network6.cp:
            self._network6.closed()
            self._events.append(Ipv6Closed())
            return
        if layer is not self._lcp:
            if self._is_network_open:
                self._is_network_open = False
                self._events.append(NetworkClosed())
            return
        if self._network6 is not None:
            self._network6.cp.down(now)
            self._network6 = None
        self._ipcp.down(now)
        self._authenticator = self._peer = self._proof = None
        if self._lcp.state in (State.REQ_SENT, State.ACK_SENT):
            self._establish(now)
        else:
            self._terminate()

    def layer_finished(self, layer: Automaton, now: float) -> None:
        """A layer has ended. Without IPCP the link is of no use, without IPV6CP it is."""
        reason, why = layer.ending or (Reason.NO_ANSWER, "the peer is silent")
        if layer is self._lcp:
            self._close(reason, why)
        elif layer is self._ipcp:
            self.give_up(reason, why, now)

    def give_up(self, reason: Reason, why: str, now: float) -> None:
        """End the link, unless it is ending."""
        if self.phase not in (Phase.DEAD, Phase.TERMINATE):
            self._terminate()
            self._lcp.close(reason, why, now)

    def protocol_rejected(self, protocol: Protocol, now: float) -> None:
        """Do without."""
        if protocol is Protocol.IPV6CP and self._network6 is not None:
            self._network6.cp.protocol_rejected(now)

    # Phases.

    def _establish(self, now: float) -> None:
        self.phase = Phase.ESTABLISH
        self._authentication_deadline = now + self._config.authentication_timeout

    def _authenticate(self, now: float) -> None:
        method = self._lcp.method
        if self._config.credentials is not None:
            self.phase = Phase.AUTHENTICATE
            if method is None:
                self._ask_for_address(now)
            else:
                self._peer = self._new_peer(method, self._config.credentials)
                self._peer.start(now)
        elif method is not None:
            self.phase = Phase.AUTHENTICATE
            self._authenticator = self._new_authenticator(method)
            self._authenticator.start(now)

    def _ask_for_address(self, now: float) -> None:
        """Enter the Network phase as a client."""
        self.phase = Phase.NETWORK
        self._authentication_deadline = None
        self._ipcp.up(now)
        self._start_ipv6(None, self._config.ipv6, now)

    def _start_ipv6(self, assignment: Assignment | None, wanted: bool, now: float) -> None:
        if wanted and network6.is_possible(self._config, self):
            self._network6 = Network6(self._config, self, assignment, self._entropy, now)

    def _terminate(self) -> None:
        self.phase = Phase.TERMINATE
        self._authentication_deadline = None

    def _close(self, reason: Reason, why: str) -> None:
        self._terminate()
        self.phase = Phase.DEAD
        self._events.append(LinkClosed(reason, why, self._hint))

    def _new_authenticator(self, method: Method) -> Authenticator:
        if method is Method.PAP:
            return PapAuthenticator(self._send_pap)
        if method is Method.EAP:
            mtu = min(self._lcp.peer_mru, self._config.mru)
            server = EapServer(self._config, mtu, self._entropy)
            if self._config.relay_eap:
                return EapRelay(server, mtu, self._entropy, self._send_eap)
            return EapAuthenticator(server, self._entropy, self._send_eap)
        attempts = self._config.authentication_attempts
        return ChapAuthenticator(
            method, self._config.name, attempts, self._entropy, self._send_chap
        )

    def _new_peer(self, method: Method, credentials: Credentials) -> Peer:
        if method is Method.PAP:
            return PapPeer(credentials, self._send_pap)
        if method is Method.EAP:
            return EapPeer(credentials, self._entropy, self._send_eap)
        if method not in self._chap_peers:
            peer = ChapPeer(method, credentials, self._entropy, self._send_chap)
            self._chap_peers[method] = peer
        return self._chap_peers[method]

    def _send_pap(self, packet: Packet) -> None:
        self.send(Protocol.PAP, packet)

    def _send_chap(self, packet: Packet) -> None:
        self.send(Protocol.CHAP, packet)

    def _send_eap(self, packet: Packet) -> None:
        self.send(Protocol.EAP, packet)
