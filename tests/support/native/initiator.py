"""IKE of a native client: when it sends what, and what it does with what it is told."""

from typing import Protocol

from ipsec import dpd, keymat
from ipsec.constants import ExchangeType, Flags, NotifyType, PayloadType, ProtocolId
from ipsec.message import Payload, Payloads, parse_message
from ipsec.path import Path
from ipsec.payloads import Delete, read_notifications
from ipsec.protection import hashed, verify_hash
from tests.support import fragments
from tests.support.native.agenda import Agenda, require
from tests.support.native.aggressive_mode import AggressiveMode
from tests.support.native.answering import Answering
from tests.support.native.main_mode import MainMode
from tests.support.native.profile import Contact, OldSas, Profile
from tests.support.native.quick_mode import QuickMode, SaPair
from wire import Entropy, Reader

OLD_PAIR = 10.0
"""Seconds after which a pair that was renewed is deleted [R]."""

SETTLING = 3.0
"""Seconds for which the SAs are `unsettled` after something happened to them."""


class Surroundings(Protocol):
    """What the client does for its initiator."""

    def send_ike(self, message: bytes, path: Path) -> None: ...
    def pair_ready(self, pair: SaPair) -> None: ...
    def lost(self, why: str) -> None: ...


class Initiator:
    """All exchanges of one client with one server. `sizes` are those of the messages sent.

    `path` is where the last ISAKMP SA was made; `gone` are the SPIs of inbound SAs of the past.
    `answered` counts quick modes of the server, `quick_modes` the client's own.
    """

    def __init__(
        self,
        profile: Profile,
        port: int,
        psk: bytes,
        path: Path,
        entropy: Entropy,
        agenda: Agenda,
        client: Surroundings,
    ) -> None:
        self.mains: list[MainMode] = []
        self.pairs: list[SaPair] = []
        self.gone: set[int] = set()
        self.sizes: list[int] = []
        self.main_modes = self.quick_modes = self.answered = 0
        self.old_sas = OldSas.DELETED_AFTER
        self.path = path
        self._phase1, self._phase2 = profile.phase1, profile.phase2
        self._port = port if profile.phase2.port is None else profile.phase2.port
        self._psk = psk
        self._first_path = path
        self._entropy = entropy
        self._agenda = agenda
        self._client = client
        self._waiting: dict[object, bytes] = {}
        self._quick_modes: dict[int, QuickMode] = {}
        self._answering: dict[int, Answering] = {}
        self._message_id = 0
        self._closed = self._wants_pair = False
        self._changed = 0.0
        self._pieces: dict[int, bytes] = {}

    @property
    def main(self) -> MainMode:
        """The ISAKMP SA to be used: the newest that is established."""
        return self._established[-1]

    @property
    def unsettled(self) -> bool:
        """Whether an exchange is under way, or one was a moment ago."""
        return bool(self._waiting) or self._agenda.now < self._changed + SETTLING

    def connect(self) -> None:
        """Begin Main Mode; at a renewal on the path that is in use [S: racoon]."""
        if self._closed or any(main.awaited for main in self.mains):
            return
        if self.old_sas is OldSas.DELETED_BEFORE:
            for old in self._established:
                self._end_main(old)
        kind = MainMode if self._phase1.group is None else AggressiveMode
        main = kind(self._phase1, self._psk, self.path, self._entropy, not self.main_modes)
        self.mains.append(main)
        self._request(main, main.first(), main.path)

    def receive(self, raw: bytes, path: Path) -> None:
        """Take a message. Raises Refusal and DecodeError for what the client does not take."""
        header, _ = parse_message(raw)
        if header.first == PayloadType.FRAGMENT:
            self._receive_fragment(raw, path)
        elif header.exchange in (ExchangeType.IDENTITY_PROTECTION, ExchangeType.AGGRESSIVE):
            self._receive_main(raw, header.cookies.initiator, path)
        elif header.exchange == ExchangeType.QUICK_MODE:
            self._receive_quick(raw, header.message_id)
        else:
            self._receive_informational(raw)

    def _receive_fragment(self, raw: bytes, path: Path) -> None:
        """Take a fragment; those of one message come together and in any order."""
        _, number, last, data = fragments.read(raw)
        self._pieces[number] = data
        if last:
            self._pieces[0] = bytes([number])
        if len(self._pieces) - 1 in self._pieces.get(0, b""):
            whole = b"".join(self._pieces[n] for n in range(1, len(self._pieces)))
            self._pieces.clear()
            self.receive(whole, path)

    def close(self) -> None:
        """Begin nothing more: the user has hung up, or the server."""
        self._closed = True

    def delete(self, protocol: ProtocolId) -> None:
        """Say that the ESP SAs are gone, or the ISAKMP SA."""
        self.close()
        if not self._established:
            return
        if protocol == ProtocolId.ESP:
            for pair in self.pairs:
                self._delete_pair(pair)
        else:
            self._inform(self.main, self._delete_payload(protocol, b"".join(self.main.cookies)))

    # Main Mode.

    def _receive_main(self, raw: bytes, cookie: bytes, path: Path) -> None:
        main = next((one for one in self.mains if one.cookies.initiator == cookie), None)
        require(main is not None, "Main Mode that nobody began")
        assert main is not None
        before = main.awaited
        answer = main.receive(raw, path)
        if answer is not None and not main.awaited:
            self._send(answer, main.path)
        if main.awaited == before:
            return
        if answer is not None and main.awaited:
            self._request(main, answer, main.path)
            return
        del self._waiting[main]
        self.path, self._changed = main.path, self._agenda.now
        self.main_modes += 1
        if self.main_modes == 1 and self._phase1.contact is Contact.APART:
            self._inform(main, main.initial_contact())
        if self.main_modes == 1 or self._wants_pair:
            self._start_quick()
        if self._phase1.renewal is not None:
            is_late = self._phase1.late and main.cookies.initiator > main.cookies.responder
            seconds = self._phase1.late if is_late else self._phase1.renewal
            self._agenda.after(self._earlier(seconds or 0.0, self._phase1.spread), self.connect)
        self._agenda.after(self._phase1.lifetime, lambda: self._expire(main))

    @property
    def _established(self) -> list[MainMode]:
        return [main for main in self.mains if not main.awaited]

    def _expire(self, main: MainMode) -> None:
        if main in self.mains and not self._closed:
            self._end_main(main)
            if self._phase1.vital:
                self._client.lost("phase 1 is over")

    def _end_main(self, main: MainMode) -> None:
        """Use an ISAKMP SA no more, once what is under way under it is done."""
        if any(isinstance(one, QuickMode) and one.main is main for one in self._waiting):
            self._agenda.after(SETTLING, lambda: self._expire(main))
            return
        if self.old_sas is not OldSas.FORGOTTEN:
            self._inform(main, self._delete_payload(ProtocolId.ISAKMP, b"".join(main.cookies)))
        self.mains.remove(main)

    def _earlier(self, seconds: float, spread: float) -> float:
        return seconds - spread * int.from_bytes(self._entropy(2)) / 0x10000

    # Quick Mode.

    def used(self, pair: SaPair) -> None:
        """Renew a pair that has carried what it may."""
        limit, carried = self._phase2.kilobytes, max(pair.inbound.octets, pair.outbound.octets)
        if limit is not None and carried >= limit * 1000:
            self._renew(pair)

    def _start_quick(self) -> None:
        if self._closed:
            return
        self._wants_pair = not self._established
        if self._wants_pair:
            self.connect()
            return
        number, nonce = self._new_message_id(), self._entropy(self._phase1.nonce)
        mode = QuickMode(self._phase2, self.main, number, nonce, self._port, self._entropy)
        self._quick_modes[number] = mode
        self._request(mode, mode.first(), self.main.path)

    def _receive_quick(self, raw: bytes, message_id: int) -> None:
        mode = self._quick_modes.get(message_id)
        if mode is None:
            self._answer_quick(raw, message_id)
            return
        is_new = mode.pair is None
        third = mode.receive(raw)
        if third is not None:
            self._send(third, mode.main.path)
        if not is_new or mode.pair is None:
            return
        pair = mode.pair
        del self._waiting[mode]
        self.quick_modes += 1
        self._take_pair(pair)
        self._client.pair_ready(pair)
        phase2 = self._phase2
        self._agenda.after(self._earlier(phase2.renewal, phase2.spread), lambda: self._renew(pair))

    def _answer_quick(self, raw: bytes, message_id: int) -> None:
        """Take a message of a quick mode that the server has begun.

        What comes of it is the server's to renew [S: racoon].
        """
        cookies = parse_message(raw)[0].cookies
        main = next((one for one in self.mains if one.cookies == cookies), None)
        require(main is not None and bool(self.pairs), "Quick Mode under no ISAKMP SA")
        assert main is not None
        mode = self._answering.get(message_id)
        if mode is None:
            own = QuickMode(self._phase2, main, message_id, b"", self._port, self._entropy)
            mode = self._answering[message_id] = Answering(self._phase2, main, own, self._entropy)
        before = mode.pair
        answer = mode.receive(raw)
        if answer is not None:
            self._send(answer, main.path)
        if mode.pair is not None and before is None:
            self.answered += 1
            self._take_pair(mode.pair)

    def _take_pair(self, pair: SaPair) -> None:
        """Use a new pair, and see to the end of the others."""
        self._changed = self._agenda.now
        for old in self.pairs.copy():
            if self.old_sas is OldSas.DELETED_BEFORE:
                self._end_pair(old)
            elif self.old_sas is OldSas.DELETED_AFTER:
                self._agenda.after(OLD_PAIR, lambda old=old: self._end_pair(old))  # type: ignore[misc]
        self.pairs.append(pair)
        self._agenda.after(self._phase2.lifetime, lambda: self._end_pair(pair))

    def _renew(self, pair: SaPair) -> None:
        """Begin Quick Mode if a pair is the newest, and nothing is begun yet."""
        if self._closed:
            return
        is_under_way = any(isinstance(one, QuickMode) for one in self._waiting)
        if pair is self.pairs[-1] and not is_under_way and not self._wants_pair:
            self._start_quick()

    def _end_pair(self, pair: SaPair) -> None:
        if pair not in self.pairs or self._closed:
            return
        if self.old_sas is not OldSas.FORGOTTEN:
            self._delete_pair(pair)
        self.pairs.remove(pair)
        self.gone.add(pair.inbound.spi)
        self._changed = self._agenda.now

    def _delete_pair(self, pair: SaPair) -> None:
        """Tell of the end of a pair, if there is an ISAKMP SA to do so under."""
        if self._established:
            spi = pair.inbound.spi.to_bytes(4, "big")
            self._inform(self.main, self._delete_payload(ProtocolId.ESP, spi))

    # Informational exchanges.

    def _receive_informational(self, raw: bytes) -> None:
        header, body = parse_message(raw)
        require(bool(header.flags & Flags.ENCRYPTION), "an informational message in clear")
        main = next((one for one in self.mains if one.cookies == header.cookies), None)
        if main is None or main.awaited:
            return
        keys, number = main.protection, header.message_id
        payloads, _ = keys.open(header, body, keys.phase2_iv(main.last_block, number))
        digest = keymat.informational_hash(keys.hash, keys.skeyid.a, number, payloads.after_hash())
        verify_hash(payloads, digest)
        for notification in read_notifications(payloads.all(PayloadType.NOTIFY)):
            if notification.type == NotifyType.R_U_THERE:
                self._inform(main, dpd.answer(b"".join(main.cookies), notification))
            else:  # read and ignored [S: racoon]
                require(notification.type == NotifyType.RESPONDER_LIFETIME, f"{notification.type}")
        for octets in payloads.all(PayloadType.DELETE):
            self._take_delete(Delete.parse(Reader(octets)), main)

    def _take_delete(self, delete: Delete, main: MainMode) -> None:
        if delete.protocol == ProtocolId.ISAKMP:
            was_newest = self.main is main
            self.mains.remove(main)
            under_it = [one for one in self._quick_modes.values() if one.main is main]
            for mode in [mode for mode in under_it if self._waiting.pop(mode, None)]:
                self._agenda.after(0.0, self._start_quick)
                del self._quick_modes[mode.message_id]
            if self._phase1.vital:
                self._client.lost("the server deleted the ISAKMP SA")
            elif was_newest and self._phase1.renewal is not None:
                self.connect()
            return
        gone = [pair for pair in self.pairs if pair.outbound.spi.to_bytes(4, "big") in delete.spis]
        self.pairs = [pair for pair in self.pairs if pair not in gone]
        if gone and not self.pairs:
            self._client.lost("the server deleted the ESP SAs")

    def _inform(self, main: MainMode, payload: Payload) -> None:
        keys, number = main.protection, self._new_message_id()
        content = Payloads.of([payload])
        digest = keymat.informational_hash(keys.hash, keys.skeyid.a, number, content.octets)
        iv = keys.phase2_iv(main.last_block, number)
        message, _ = keys.seal(ExchangeType.INFORMATIONAL, number, hashed(digest, content), iv)
        self._send(message, main.path)

    @staticmethod
    def _delete_payload(protocol: ProtocolId, spi: bytes) -> Payload:
        return Payload(PayloadType.DELETE, Delete(protocol, (spi,)).build())

    # Sending.

    def _new_message_id(self) -> int:
        if not self._phase1.counts_ids:
            return int.from_bytes(self._entropy(4), "big") or 1
        self._message_id += 1
        return self._message_id

    def _send(self, message: bytes, path: Path) -> None:
        self.sizes.append(len(message))
        certified = self._phase1.certified
        whole = certified is None or len(message) <= certified.limit
        for part in [message] if certified is None or whole else certified.cut(message):
            self._client.send_ike(part, path)

    def _request(self, exchange: object, message: bytes, path: Path, attempt: int = 0) -> None:
        """Send a message, and again until something else of its exchange is to be sent."""
        self._waiting[exchange] = message
        self._send(message, path)

        def send_again() -> None:
            if self._waiting.get(exchange) is message and not self._closed:
                if attempt + 1 == self._phase1.tries_on_4500 and isinstance(exchange, MainMode):
                    exchange.path = self._first_path
                if attempt + 1 < len(self._phase1.resend):
                    again = exchange.path if isinstance(exchange, MainMode) else path
                    self._request(exchange, message, again, attempt + 1)
                else:
                    self._client.lost("the server does not answer")

        self._agenda.after(self._phase1.resend[attempt], send_again)
