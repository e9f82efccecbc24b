"""The Challenge Handshake Authentication Protocol: RFC 1994, and MS-CHAPv2 over it: RFC 2759.

The two differ in the Value of a Response and in what the messages of Success and Failure say;
the exchange is the same.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from hmac import compare_digest
from typing import Self

from ppp.authentication import REPEAT_INTERVAL, Send, Verdict
from ppp.config import Credentials, Method
from ppp.constants import ChapCode
from ppp.mschapv2 import (
    PW_BLOCK_LENGTH,
    generate_authenticator_response,
    generate_nt_response,
    nt_password_hash,
)
from ppp.packet import Packet
from ppp.proofs import (
    ChapMd5Proof,
    MsChapV2Change,
    MsChapV2Proof,
    chap_md5_response,
    decode_name,
)
from wire import DecodeError, Entropy, Reader, Writer

CHALLENGE_LENGTH = 16
"""What MS-CHAPv2 demands (RFC 2759 section 3) and suits MD5."""

AUTHENTICATION_FAILURE = 691
"""The error after which another try may help (RFC 2759 section 6)."""

PASSWORD_EXPIRED = 648
"""The error after which the peer may change its password (RFC 2759 section 6)."""


GREETING = b"Welcome"


@dataclass(frozen=True, slots=True)
class NamedValue:
    """The Data of a Challenge or Response (RFC 1994 section 4.1)."""

    value: bytes = field(repr=False)
    name: bytes

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the Data. Raises DecodeError."""
        return cls(reader.take(reader.u8()), reader.rest())

    def build(self) -> bytes:
        """Return the Data."""
        return Writer().u8(len(self.value)).put(self.value).put(self.name).build()


@dataclass(frozen=True, slots=True)
class MsChapV2Value:
    """The Value of a Response of MS-CHAPv2 (RFC 2759 section 4)."""

    peer_challenge: bytes = field(repr=False)
    nt_response: bytes = field(repr=False)

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the Value; its reserved octets mean nothing. Raises DecodeError."""
        peer_challenge = reader.take(CHALLENGE_LENGTH)
        reader.skip(8)
        nt_response = reader.take(24)
        reader.skip(1)
        reader.expect_end("an MS-CHAPv2 Response Value")
        return cls(peer_challenge, nt_response)

    def build(self) -> bytes:
        """Return the Value."""
        return self.peer_challenge + bytes(8) + self.nt_response + bytes(1)


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """The Data of a Change-Password packet of MS-CHAPv2 (RFC 2759 section 7)."""

    encrypted_password: bytes = field(repr=False)
    encrypted_hash: bytes = field(repr=False)
    peer_challenge: bytes = field(repr=False)
    nt_response: bytes = field(repr=False)

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the Data; its reserved octets and flags mean nothing. Raises DecodeError."""
        encrypted_password, encrypted_hash = reader.take(PW_BLOCK_LENGTH), reader.take(16)
        peer_challenge = reader.take(CHALLENGE_LENGTH)
        reader.skip(8)
        nt_response = reader.take(24)
        reader.skip(2)
        reader.expect_end("a Change-Password packet")
        return cls(encrypted_password, encrypted_hash, peer_challenge, nt_response)

    def build(self) -> bytes:
        """Return the Data."""
        encrypted = self.encrypted_password + self.encrypted_hash
        return encrypted + self.peer_challenge + bytes(8) + self.nt_response + bytes(2)


class Changes(Enum):
    """Whether a Change-Password packet is expected."""

    NOT_YET = "the password has not expired as far as is known"
    OFFERED = "the peer was told that its password has expired"
    OVER = "there was one"


class ChapAuthenticator:
    """Sends Challenges until one is answered, and answers each Response once and for all.

    `_answer` is kept for repetitions of the Response that it answers. While a verdict is
    pending, and while a peer that may try again asks its user, nothing is repeated.

    A Failure says what may follow it (RFC 2759 sections 6 and 9.1): another Response, as long
    as there are `_attempts`, or with error 648, once, a Change-Password packet, which is for
    `_peer_name`; after that nothing.
    """

    __slots__ = (
        "_answer",
        "_attempts",
        "_challenge",
        "_changes",
        "_deadline",
        "_entropy",
        "_identifier",
        "_is_pending",
        "_method",
        "_name",
        "_peer_name",
        "_send",
    )

    def __init__(
        self, method: Method, name: str, attempts: int, entropy: Entropy, send: Send
    ) -> None:
        self._method = method
        self._name = name.encode()
        self._attempts = attempts
        self._entropy = entropy
        self._send = send
        self._identifier = entropy(1)[0]
        self._challenge = b""
        self._is_pending = False
        self._answer: Packet | None = None
        self._deadline: float | None = None
        self._peer_name = b""
        self._changes = Changes.NOT_YET

    @property
    def identifier(self) -> int:
        """The Identifier that the next packet of the peer must have."""
        return self._identifier

    def start(self, now: float) -> None:
        """Send a Challenge; Identifier and Value must be new each time (RFC 1994 section 4.1)."""
        self._renew_challenge()
        self._deadline = now + REPEAT_INTERVAL
        data = NamedValue(self._challenge, self._name).build()
        self._send(Packet(ChapCode.CHALLENGE, self._identifier, data))

    def receive(
        self, packet: Packet, now: float
    ) -> ChapMd5Proof | MsChapV2Proof | MsChapV2Change | None:
        """Take a packet; return a proof to verify. Raises DecodeError."""
        if packet.code not in (ChapCode.RESPONSE, ChapCode.CHANGE_PASSWORD):
            return None
        if self._answer is not None and packet.identifier == self._answer.identifier:
            self._send(self._answer)
            return None
        if self._is_pending or packet.identifier != self._identifier:
            return None
        proof: ChapMd5Proof | MsChapV2Proof | MsChapV2Change
        if packet.code == ChapCode.RESPONSE:
            proof = self._proof(NamedValue.parse(Reader(packet.data)))
        elif self._changes is Changes.OFFERED:
            proof = self._change(ChangePassword.parse(Reader(packet.data)))
        else:
            return None
        self._is_pending = True
        self._deadline = None
        return proof

    def _proof(self, response: NamedValue) -> ChapMd5Proof | MsChapV2Proof:
        name, encoding = decode_name(response.name)
        if self._method is Method.CHAP_MD5:
            return ChapMd5Proof(name, self._identifier, self._challenge, response.value)
        value = MsChapV2Value.parse(Reader(response.value))
        self._peer_name = response.name
        return MsChapV2Proof(
            name, self._challenge, value.peer_challenge, value.nt_response, encoding
        )

    def _change(self, change: ChangePassword) -> MsChapV2Change:
        """A Change-Password packet has no name: it is that of the Response before."""
        self._changes = Changes.OVER
        name, encoding = decode_name(self._peer_name)
        new = MsChapV2Proof(
            name, self._challenge, change.peer_challenge, change.nt_response, encoding
        )
        return MsChapV2Change(new, change.encrypted_password, change.encrypted_hash)

    def succeed(self, reply: bytes, now: float) -> bool:
        """Send a Success; of MS-CHAPv2 "S=<auth_string> M=<message>" (RFC 2759 section 5)."""
        message = GREETING
        if self._method is Method.MS_CHAP_V2:
            message = reply + b" M=" + GREETING
        self._reply(ChapCode.SUCCESS, message)
        return False

    def fail(self, error: int, message: str, now: float) -> bool:
        """Send a Failure; of MS-CHAPv2 with a challenge for another try (RFC 2759 section 6)."""
        self._attempts -= 1
        if self._method is Method.CHAP_MD5:
            self._reply(ChapCode.FAILURE, message.encode())
            return False
        may_retry = self._may_retry(error)
        identifier = self._identifier
        self._renew_challenge()
        challenge = self._challenge.hex().upper()
        text = f"E={error} R={int(may_retry)} C={challenge} V=3 M={message}"
        self._reply(ChapCode.FAILURE, text.encode(), identifier)
        return may_retry

    def _may_retry(self, error: int) -> bool:
        if error == PASSWORD_EXPIRED and self._changes is Changes.NOT_YET:
            self._changes = Changes.OFFERED
            return True
        is_retry = error == AUTHENTICATION_FAILURE and self._changes is not Changes.OVER
        return is_retry and self._attempts > 0

    def repeat(self) -> None:
        """Send the last answer once more."""
        if self._answer is not None:
            self._send(self._answer)

    def next_timeout(self) -> float | None:
        """Return when the next Challenge is due."""
        return self._deadline

    def handle_timeout(self, now: float) -> None:
        """Send another Challenge if it is due."""
        if self._deadline is not None and now >= self._deadline:
            self.start(now)

    def _renew_challenge(self) -> None:
        self._identifier = (self._identifier + 1) % 256
        self._challenge = self._entropy(CHALLENGE_LENGTH)

    def _reply(self, code: ChapCode, message: bytes, identifier: int | None = None) -> None:
        self._is_pending = False
        answered = self._identifier if identifier is None else identifier
        self._answer = Packet(code, answered, message)
        self._send(self._answer)


@dataclass(frozen=True, slots=True)
class Given:
    """A Challenge and the Response that was given to it.

    `expected` is what a Success of MS-CHAPv2 must say (RFC 2759 section 8.8).
    """

    challenge: Packet
    response: Packet
    expected: bytes = b""


class ChapPeer:
    """Answers Challenges, and repeats its latest Response until there is a verdict.

    The same Challenge gets the same Response, because the authenticator answers only the first.
    All are remembered by their Identifier (so there are at most 256): of two Challenges that
    overtook each other on the way, the authenticator wants the Response to either. That includes
    those from before LCP was negotiated anew, which may come late with the Success to them.
    """

    __slots__ = (
        "_credentials",
        "_deadline",
        "_entropy",
        "_given",
        "_latest",
        "_method",
        "_send",
    )

    def __init__(
        self, method: Method, credentials: Credentials, entropy: Entropy, send: Send
    ) -> None:
        self._method = method
        self._credentials = credentials
        self._entropy = entropy
        self._send = send
        self._given: dict[int, Given] = {}
        self._latest: Packet | None = None
        self._deadline: float | None = None

    def start(self, now: float) -> None:
        """LCP is open: it is for the authenticator to begin, and nothing is to be repeated."""
        self._latest = self._deadline = None

    def receive(self, packet: Packet, now: float) -> Verdict | None:
        """Take a packet; return the verdict if it is one. Raises DecodeError."""
        given = self._given.get(packet.identifier)
        if packet.code == ChapCode.CHALLENGE:
            if given is None or packet != given.challenge:
                given = self._respond(packet)
                self._given[packet.identifier] = given
            self._latest = given.response
            self._repeat(now)
            return None
        if given is None:
            return None
        if packet.code == ChapCode.SUCCESS:
            self._deadline = None
            return self._check(packet.data, given.expected)
        if packet.code == ChapCode.FAILURE:
            self._deadline = None
            return Verdict(False, failure_text(packet.data))
        return None

    def _respond(self, packet: Packet) -> Given:
        challenge = NamedValue.parse(Reader(packet.data)).value
        name, password = self._credentials.name.encode(), self._credentials.password
        expected = b""
        if self._method is Method.CHAP_MD5:
            value = chap_md5_response(packet.identifier, password, challenge)
        elif len(challenge) != CHALLENGE_LENGTH:
            raise DecodeError(f"an MS-CHAPv2 challenge of {len(challenge)} octets")
        else:
            peer_challenge = self._entropy(CHALLENGE_LENGTH)
            key = nt_password_hash(password)
            nt_response = generate_nt_response(challenge, peer_challenge, name, key)
            expected = generate_authenticator_response(
                challenge, peer_challenge, name, key, nt_response
            )
            value = MsChapV2Value(peer_challenge, nt_response).build()
        data = NamedValue(value, name).build()
        return Given(packet, Packet(ChapCode.RESPONSE, packet.identifier, data), expected)

    def _check(self, message: bytes, expected: bytes) -> Verdict:
        """Believe a Success of MS-CHAPv2 only with the right "S=" (RFC 2759 section 5)."""
        if not compare_digest(message[: len(expected)], expected):
            return Verdict(False, "the peer does not prove that it knows the password itself")
        return Verdict(True, message.decode(errors="backslashreplace"))

    def next_timeout(self) -> float | None:
        """Return when the Response is sent again."""
        return self._deadline

    def handle_timeout(self, now: float) -> None:
        """Send the Response again if that is due."""
        if self._deadline is not None and now >= self._deadline:
            self._repeat(now)

    def _repeat(self, now: float) -> None:
        if self._latest is not None:
            self._deadline = now + REPEAT_INTERVAL
            self._send(self._latest)


def failure_text(message: bytes) -> str:
    """Return what a Failure says, the challenge of MS-CHAPv2 left out."""
    text = message.decode(errors="backslashreplace")
    return re.sub(r" C=[0-9A-Fa-f]+", "", text)
