"""A peer of EAP-TLS: OpenSSL behind packets of the tests' own."""

import ssl
from pathlib import Path

from ppp.authentication import Send, Verdict
from ppp.config import Credentials
from ppp.constants import EapCode, EapType
from ppp.eap_tls import ACKNOWLEDGEMENT
from ppp.packet import Packet
from tests.support.tls_certificates import Authority
from wire import Entropy

TLS_1_3 = ssl.TLSVersion.TLSv1_3
LENGTH, MORE = 0x80, 0x40


class TlsPeer:
    """The peer's side: takes and gives Type-Data. `fragment` is its own size of fragments."""

    def __init__(
        self,
        ca: Authority,
        files: tuple[Path, Path] | None,
        version: ssl.TLSVersion = TLS_1_3,
        fragment: int = 1000,
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.minimum_version = context.maximum_version = version
        context.load_verify_locations(ca.file)
        if files is not None:
            context.load_cert_chain(*files)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing)
        self.fragment = fragment
        self.flags: list[int] = []
        self.longest = 0
        self.indication = b""
        self.error = ""
        self._unsent: list[bytes] = []

    def answer(self, data: bytes) -> bytes:
        flags = data[0]
        self.flags.append(flags)
        self.longest = max(self.longest, len(data))
        if self._unsent and len(data) == 1:
            return self._unsent.pop(0)
        self._incoming.write(data[5 if flags & LENGTH else 1 :])
        if flags & MORE:
            return ACKNOWLEDGEMENT
        try:
            self.tls.do_handshake()
            self.indication += self.tls.read()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = str(error)
        message = self._outgoing.read()
        size = self.fragment
        pieces = [message[at : at + size] for at in range(0, len(message), size)] or [b""]
        self._unsent = [
            bytes([MORE if number < len(pieces) - 1 else 0]) + piece
            for number, piece in enumerate(pieces)
        ]
        if len(pieces) > 1:
            first = bytes([LENGTH | MORE]) + len(message).to_bytes(4) + pieces[0]
            self._unsent[0] = first
        return self._unsent.pop(0)


class EapTlsPeer:
    """The whole of EAP around it, in the place of `ppp.eap_peer.EapPeer`; repeats nothing."""

    def __init__(
        self, ca: Authority, files: tuple[Path, Path], credentials: Credentials, send: Send
    ) -> None:
        self._tls = TlsPeer(ca, files)
        self._name = credentials.name.encode()
        self._send = send
        self._last = -1

    @classmethod
    def maker(cls, ca: Authority, files: tuple[Path, Path]) -> object:
        """Return what makes such a peer, as a link calls it."""

        def make(credentials: Credentials, entropy: Entropy, send: Send) -> EapTlsPeer:
            return cls(ca, files, credentials, send)

        return make

    def start(self, now: float) -> None:
        """Nothing."""

    def receive(self, packet: Packet, now: float) -> Verdict | None:
        if packet.code == EapCode.SUCCESS:
            return Verdict(True, "")
        if packet.code == EapCode.FAILURE:
            return Verdict(False, self._tls.error or "EAP failed")
        if packet.identifier != self._last:
            kind, data = EapType(packet.data[0]), packet.data[1:]
            answer = self._name if kind is EapType.IDENTITY else self._tls.answer(data)
            self._send(Packet(EapCode.RESPONSE, packet.identifier, bytes([kind]) + answer))
        self._last = packet.identifier
        return None

    def next_timeout(self) -> float | None:
        return None

    def handle_timeout(self, now: float) -> None:
        """Nothing."""
