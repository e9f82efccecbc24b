"""An initiator that a test moves message by message, to repeat, change or withhold them."""

from random import Random

from ipsec.aggressive_mode import AggressiveMode
from ipsec.config import IkeConfig
from ipsec.constants import (
    PROTOCOL_UDP,
    ExchangeType,
    NotifyType,
    PayloadType,
)
from ipsec.endpoint import Ike
from ipsec.events import Event
from ipsec.exchange import Incoming
from ipsec.isakmp_sa import IsakmpSa
from ipsec.main_mode import MainMode
from ipsec.message import Payload, Payloads, parse_message
from ipsec.path import Address, Path
from ipsec.payloads import Identification, Notification
from ipsec.quick_mode import QuickMode
from ipsec.udpencap import add_marker, strip_marker
from tests.support.ike import CLIENT, SERVER, config
from wire import Reader

START = 1000.0


class Caller:
    """Calls `ike` from an address of its own. Messages here have no non-ESP marker."""

    def __init__(
        self,
        ike: Ike | None = None,
        settings: IkeConfig | None = None,
        host: str = CLIENT,
        port: int = 500,
        local_port: int = 500,
        seed: int = 1,
    ) -> None:
        random = Random(seed)
        self.entropy = random.randbytes
        self.ike = ike or Ike(config(), Random(99).randbytes)
        self.settings = settings or config()
        self.now = START
        self.path = Path(Address(SERVER, local_port), Address(host, port))
        kind = AggressiveMode if self.settings.aggressive else MainMode
        self.mode = kind(
            self.settings, self.entropy, True, self.entropy(8), self._swapped(self.path)
        )
        self.sa: IsakmpSa | None = None

    # Sending as it is.

    def send(self, message: bytes) -> list[bytes]:
        """Let the server receive a message; return what it answers to this caller."""
        data = add_marker(message, self.path.local.port)
        self.ike.receive(data, self.path, self.now)
        return self.answers()

    def answers(self) -> list[bytes]:
        """Return the messages that the server sends to this caller."""
        found = []
        for data, path in self.ike.datagrams_to_send():
            assert path == self.path
            message = strip_marker(data, path.local.port)
            assert message is not None
            found.append(message)
        return found

    def events(self) -> list[Event]:
        """Return what the server told since the last call."""
        found = []
        while (event := self.ike.next_event()) is not None:
            found.append(event)
        return found

    # Main Mode.

    def first(self) -> bytes:
        """Return message 1."""
        return self.mode.start(initial_contact=False)

    def next(self, answer: bytes) -> bytes:
        """Take an answer of the server and return the message that follows."""
        message = self.take(answer)
        assert message is not None
        return message

    def take(self, answer: bytes) -> bytes | None:
        """Take an answer of the server; return the next message, if there is one."""
        header, body = parse_message(answer)
        return self.mode.receive(Incoming(header, body, self._swapped(self.path)))

    def up_to(self, number: int) -> bytes:
        """Go on with Main Mode until message `number` is to be sent, and return it."""
        message = self.first()
        for _ in range(1, number, 2):
            (answer,) = self.send(message)
            message = self.next(answer)
        return message

    def establish(self, local_port: int | None = None) -> IsakmpSa:
        """Complete Main Mode; message 5 may go to another port."""
        message = self.up_to(5)
        if local_port is not None:
            local = Address(SERVER, local_port)
            self.path = Path(local, self.path.peer._replace(port=local_port))
        answer, *_ = self.send(message)
        assert self.take(answer) is None
        self.sa = IsakmpSa(self.mode, START)
        return self.sa

    # After Main Mode.

    def quick_mode(self, spi: int = 0x1000, message_id: int | None = None) -> QuickMode:
        """Return a quick mode of the caller, not begun."""
        sa = self._sa()
        number = sa.new_message_id(self.entropy) if message_id is None else message_id
        return QuickMode(sa, self.settings, self.entropy, number, spi)

    def offer(self, mode: QuickMode, port: int = 1701, server_port: int = 1701) -> bytes:
        """Return message 1 of a quick mode."""
        ours = Identification.of_address("10.0.0.2", PROTOCOL_UDP, port)
        theirs = Identification.of_address("203.0.113.1", PROTOCOL_UDP, server_port)
        return mode.start(self._swapped(self.path), ours, theirs)

    def take_quick(self, mode: QuickMode, answer: bytes) -> bytes | None:
        """Let a quick mode of the caller take an answer."""
        header, body = parse_message(answer)
        return mode.receive(Incoming(header, body, self._swapped(self.path)))

    def complete(self, mode: QuickMode) -> None:
        """Do all of a quick mode."""
        answer, *_ = self.send(self.offer(mode))
        third = self.take_quick(mode, answer)
        assert third is not None
        assert self.send(third) == []

    def inform(self, *payloads: Payload) -> list[bytes]:
        """Send an informational message; return the answers."""
        return self.send(self._sa().seal_informational(list(payloads), self.entropy))

    def seal_quick(self, payloads: list[Payload], message_id: int = 7) -> bytes:
        """Return a genuine first message of Quick Mode with any payloads."""
        mode = self.quick_mode(message_id=message_id)
        return mode._seal(payloads, mode._hash_1)

    def open(self, answer: bytes) -> Payloads:
        """Return what an informational message of the server carries."""
        header, body = parse_message(answer)
        assert header.exchange == ExchangeType.INFORMATIONAL
        return self._sa().open_informational(Incoming(header, body, self.path))

    def _sa(self) -> IsakmpSa:
        assert self.sa is not None
        return self.sa

    @staticmethod
    def _swapped(path: Path) -> Path:
        return Path(path.peer, path.local)


def notified(answer: bytes) -> NotifyType:
    """Return the type of a notification in clear."""
    header, body = parse_message(answer)
    assert header.exchange == ExchangeType.INFORMATIONAL
    assert not header.flags
    return Notification.parse(
        Reader(Payloads.parse(header.first, body).the(PayloadType.NOTIFY))
    ).type


def clear(message: bytes) -> Payloads:
    """Return the payloads of a message in clear."""
    header, body = parse_message(message)
    return Payloads.parse(header.first, body)


def changed(message: bytes, kind: PayloadType, body: bytes) -> bytes:
    """Return a message in clear with another body in its payload of this type."""
    header, old = parse_message(message)
    items = [
        item._replace(body=body) if item.type == kind else item
        for item in Payloads.parse(header.first, old).items
    ]
    return rebuilt(message, items)


def rebuilt(message: bytes, items: list[Payload]) -> bytes:
    """Return a message in clear with other payloads."""
    payloads = Payloads.of(items)
    length = (28 + len(payloads.octets)).to_bytes(4, "big")
    return message[:16] + bytes([payloads.first_type]) + message[17:24] + length + payloads.octets
