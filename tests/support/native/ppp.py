"""PPP of a native client: its requests, its oddities, and what it takes of the server's."""

from ipaddress import IPv4Address
from typing import Final, Protocol

from ppp.config import Credentials
from ppp.constants import ChapCode, Code, IpcpOption, LcpOption
from ppp.constants import Protocol as Number
from ppp.mschapv2 import generate_authenticator_response, generate_nt_response, nt_password_hash
from ppp.packet import Option, build_options, parse_options
from tests.support.native.agenda import Agenda, require
from tests.support.native.profile import MAGIC, Options, Ppp
from tests.support.ppp import Sent, read
from wire import Entropy

MS_CHAP_V2: Final = bytes.fromhex("c22381")
RESTART: Final = 3.0
TERMINATE_AGAIN: Final = 2.0
"""Seconds; Windows [L]."""

ECHO_FAILURES: Final = 4
"""Echoes without an answer after which pppd gives up [S]."""

NAME_SERVERS: Final = (IpcpOption.PRIMARY_DNS, IpcpOption.SECONDARY_DNS)


class Surroundings(Protocol):
    """What the client does for its end of the link."""

    def send_frame(self, frame: bytes) -> None: ...
    def network_up(self, address: IPv4Address, dns: tuple[IPv4Address, ...]) -> None: ...
    def lost(self, why: str) -> None: ...


class Negotiation:
    """The options of one protocol: what is asked for, and whether both requests are settled."""

    def __init__(self, protocol: int, options: Options, magic: bytes) -> None:
        self.protocol = Number(protocol)
        self.wanted = {
            kind: magic if text == MAGIC else bytes.fromhex(text) for kind, text in options
        }
        self.request: Sent | None = None
        self.ours = self.theirs = self.rejected = False

    @property
    def open(self) -> bool:
        return self.ours and self.theirs


class PppClient:
    """One link. `log` has what was sent, as (protocol, code, identifier)."""

    def __init__(
        self,
        ppp: Ppp,
        credentials: Credentials,
        entropy: Entropy,
        agenda: Agenda,
        client: Surroundings,
    ) -> None:
        self.log: list[tuple[int, int, int]] = []
        self.terminated = False
        self._ppp = ppp
        self._credentials = credentials
        self._entropy = entropy
        self._agenda = agenda
        self._client = client
        self._magic = entropy(4)
        self._listens = self._authenticated = False
        self._unanswered = 0
        self._expected = b""
        self._next_id: dict[int, int] = {}
        self.lcp = Negotiation(Number.LCP, ppp.lcp, self._magic)
        self.ipcp = Negotiation(Number.IPCP, ppp.ipcp, b"")
        self.others = [
            Negotiation(protocol, options, b"") for protocol, options in ppp.before + ppp.after
        ]

    # What happens to the link.

    def start(self) -> None:
        self._agenda.after(self._ppp.listens_after, self._listen)

    def terminate(self, again: bool = False) -> None:
        """Send a Terminate-Request, and once more if there is no answer."""
        if not self.terminated:
            self._send(Number.LCP, Code.TERMINATE_REQUEST, self._ppp.goodbye)
            if not again:
                self._agenda.after(TERMINATE_AGAIN, lambda: self.terminate(again=True))

    def receive(self, frame: bytes) -> None:
        """Take a frame that is no IPv4."""
        if not self._listens:
            return
        packet = read(frame)
        if packet.protocol is Number.LCP:
            self._receive_lcp(packet)
        elif packet.protocol is Number.CHAP:
            self._receive_chap(packet)
        elif packet.protocol is Number.IPCP:
            require(self._authenticated, "IPCP before the login")
            self._receive_configure(self.ipcp, packet)
        else:
            require(False, f"the server speaks {packet.protocol}, which nobody asked for")

    def _listen(self) -> None:
        self._listens = True
        self._ask(self.lcp)

    # LCP.

    def _receive_lcp(self, packet: Sent) -> None:
        match packet.code:
            case Code.TERMINATE_REQUEST:
                self._reply(packet, Code.TERMINATE_ACK)
                if not self.terminated:
                    self.terminated = True
                    self._client.lost("the server ended the link")
            case Code.TERMINATE_ACK:
                self.terminated = True
            case Code.ECHO_REQUEST:
                self._reply(packet, Code.ECHO_REPLY, self._magic + packet.data[4:])
            case Code.ECHO_REPLY:
                self._unanswered = 0
            case Code.PROTOCOL_REJECT:
                number = int.from_bytes(packet.data[:2])
                unwanted = [other for other in self.others if other.protocol == number]
                require(bool(unwanted), f"the server rejects protocol {number:#x}")
                unwanted[0].rejected = True
            case _:
                require(packet.code <= Code.CONFIGURE_REJECT, f"LCP code {packet.code}")
                self._receive_configure(self.lcp, packet)

    def _judge_lcp(self, option: Option) -> Option | None:
        if option.type == LcpOption.AUTHENTICATION_PROTOCOL and option.data != MS_CHAP_V2:
            return Option(option.type, MS_CHAP_V2)
        return option if option.type in (1, 2, 3, 5, 7, 8) else None

    def _lcp_open(self) -> None:
        for text in self._ppp.identifications:
            self._send(Number.LCP, Code.IDENTIFICATION, self._magic + text)
        if self._ppp.echo is not None:
            self._echo(self._ppp.echo)

    def _echo(self, interval: float) -> None:
        if self._unanswered == ECHO_FAILURES:
            self._client.lost("the server answers no echo")
        elif not self.terminated:
            self._unanswered += 1
            self._send(Number.LCP, Code.ECHO_REQUEST, self._magic)
            self._agenda.after(interval, lambda: self._echo(interval))

    # Authentication.

    def _receive_chap(self, packet: Sent) -> None:
        name = self._credentials.name.encode()
        if packet.code == ChapCode.CHALLENGE:
            require(self.lcp.open, "a Challenge before LCP is open")
            theirs, ours = packet.data[1:17], self._entropy(16)
            key = nt_password_hash(self._credentials.password)
            response = generate_nt_response(theirs, ours, name, key)
            self._expected = generate_authenticator_response(theirs, ours, name, key, response)
            value = ours + bytes(8) + response + b"\0"
            self._reply(packet, ChapCode.RESPONSE, bytes([len(value)]) + value + name)
        elif packet.code == ChapCode.SUCCESS:
            require(packet.data.startswith(self._expected + b" M="), "S= is wrong")
            if not self._authenticated:
                self._authenticated = True
                before = self.others[: len(self._ppp.before)]
                after = self.others[len(self._ppp.before) :]
                for negotiation in (*before, self.ipcp, *after):
                    self._ask(negotiation)
        else:
            self._client.lost(packet.data.decode())

    # Configure-Requests and what follows.

    def _ask(self, negotiation: Negotiation) -> None:
        """Send a Configure-Request, and again as long as nothing came of it."""
        options = [Option(kind, data) for kind, data in negotiation.wanted.items()]
        request = self._send(negotiation.protocol, Code.CONFIGURE_REQUEST, build_options(options))
        negotiation.request = request

        def ask_again() -> None:
            settled = negotiation.ours or negotiation.rejected or self.terminated
            if negotiation.request is request and not settled:
                self._ask(negotiation)

        self._agenda.after(RESTART, ask_again)

    def _receive_configure(self, negotiation: Negotiation, packet: Sent) -> None:
        request, was_open = negotiation.request, negotiation.open
        if packet.code == Code.CONFIGURE_REQUEST:
            self._answer_request(negotiation, packet)
        elif request is not None and packet.identifier == request.identifier:
            self._take_answer(negotiation, packet, request)
        if negotiation.open and not was_open:
            if negotiation is self.lcp:
                self._lcp_open()
            else:
                self._network_up()

    def _answer_request(self, negotiation: Negotiation, packet: Sent) -> None:
        judged: list[tuple[Option, Option | None]] = []
        for option in parse_options(packet.data):
            is_wanted = option.type == IpcpOption.IP_ADDRESS
            if negotiation is self.lcp:
                judged.append((option, self._judge_lcp(option)))
            else:
                judged.append((option, option if is_wanted else None))
        rejected = [option for option, opinion in judged if opinion is None]
        naked = [opinion for option, opinion in judged if opinion not in (None, option)]
        if rejected:
            self._reply(packet, Code.CONFIGURE_REJECT, build_options(rejected))
        elif naked:
            options = build_options(opinion for opinion in naked if opinion is not None)
            self._reply(packet, Code.CONFIGURE_NAK, options)
        else:
            negotiation.theirs = True
            self._reply(packet, Code.CONFIGURE_ACK, packet.data)

    def _take_answer(self, negotiation: Negotiation, packet: Sent, request: Sent) -> None:
        if packet.code == Code.CONFIGURE_ACK:
            require(packet.data == request.data, "an Ack of something else")
            negotiation.ours = True
            return
        for option in parse_options(packet.data):
            require(option.type in negotiation.wanted, f"option {option.type} was not asked for")
            if packet.code == Code.CONFIGURE_REJECT:
                del negotiation.wanted[option.type]
            else:
                negotiation.wanted[option.type] = option.data
        self._ask(negotiation)

    def _network_up(self) -> None:
        told = self.ipcp.wanted
        address = IPv4Address(told[IpcpOption.IP_ADDRESS])
        dns = tuple(IPv4Address(told[kind]) for kind in NAME_SERVERS if kind in told)
        self._client.network_up(address, dns)

    # Sending.

    def _send(self, protocol: Number, code: int, data: bytes) -> Sent:
        counter = 0 if self._ppp.shared_ids else int(protocol)
        identifier = self._next_id.get(counter, self._ppp.first_id)
        self._next_id[counter] = identifier + 1 & 0xFF
        return self._put(Sent(protocol, code, identifier, data))

    def _reply(self, packet: Sent, code: int, data: bytes = b"") -> None:
        self._put(Sent(packet.protocol, code, packet.identifier, data))

    def _put(self, packet: Sent) -> Sent:
        self.log.append((packet.protocol, packet.code, packet.identifier))
        self._client.send_frame(packet.build())
        return packet


def refused(ppp: PppClient) -> set[int]:
    """Return the protocols that the server has rejected."""
    return {int(other.protocol) for other in ppp.others if other.rejected}
