"""What both ends of a tunnel tell each other at first (RFC 2661 sections 5.1 and 6.1 to 6.3)."""

from l2tp import authentication
from l2tp.config import L2tpConfig
from l2tp.constants import (
    DEFAULT_RECEIVE_WINDOW,
    FRAMING_ASYNC_AND_SYNC,
    PROTOCOL_VERSION,
    ErrorCode,
    MessageType,
    StopResult,
)
from l2tp.errors import RefusedError
from l2tp.messages import Scccn, Sccrp, Sccrq
from l2tp.text import printable
from wire import Entropy


class Handshake:
    """One end of SCCRQ, SCCRP and SCCCN: builds ours, examines the peer's.

    The `examine` methods raise RefusedError if the message is not acceptable. `authenticated`
    says whether the peer has proved to know the secret (section 5.1.1).
    """

    __slots__ = (
        "_challenge",
        "_config",
        "_number",
        "_peer_challenge",
        "authenticated",
        "host_name",
        "receive_window",
        "tie_breaker",
        "vendor_name",
    )

    def __init__(self, config: L2tpConfig, number: int, entropy: Entropy) -> None:
        self._config = config
        self._number = number
        self._challenge: bytes | None = None
        if config.require_authentication:
            self._challenge = entropy(authentication.CHALLENGE_LENGTH)
        self._peer_challenge: bytes | None = None
        self.authenticated = False
        self.host_name = ""
        self.vendor_name = ""
        self.receive_window = DEFAULT_RECEIVE_WINDOW
        self.tie_breaker: int | None = None

    def request(self) -> Sccrq:
        """Return our SCCRQ."""
        return Sccrq(
            protocol_version=PROTOCOL_VERSION,
            framing_capabilities=FRAMING_ASYNC_AND_SYNC,
            bearer_capabilities=0,
            tie_breaker=self.tie_breaker,
            host_name=self._config.host_name.encode(),
            vendor_name=self._config.vendor_name.encode() or None,
            assigned_tunnel_id=self._number,
            receive_window_size=self._config.receive_window,
            challenge=self._challenge,
        )

    def reply(self) -> Sccrp:
        """Return our SCCRP."""
        return Sccrp(
            protocol_version=PROTOCOL_VERSION,
            framing_capabilities=FRAMING_ASYNC_AND_SYNC,
            bearer_capabilities=0,
            host_name=self._config.host_name.encode(),
            vendor_name=self._config.vendor_name.encode() or None,
            assigned_tunnel_id=self._number,
            receive_window_size=self._config.receive_window,
            challenge_response=self._respond(MessageType.SCCRP),
            challenge=self._challenge,
        )

    def connected(self) -> Scccn:
        """Return our SCCCN."""
        return Scccn(challenge_response=self._respond(MessageType.SCCCN))

    def examine_request(self, message: Sccrq) -> None:
        """Examine the peer's SCCRQ."""
        self._examine(message)

    def examine_reply(self, message: Sccrp) -> None:
        """Examine the peer's SCCRP."""
        self._examine(message)
        self._authenticate(MessageType.SCCRP, message.challenge_response)

    def examine_connected(self, message: Scccn) -> None:
        """Examine the peer's SCCCN."""
        self._authenticate(MessageType.SCCCN, message.challenge_response)

    def _examine(self, message: Sccrq | Sccrp) -> None:
        self.host_name = printable(message.host_name)
        self.vendor_name = printable(message.vendor_name)
        self.receive_window = message.receive_window_size or DEFAULT_RECEIVE_WINDOW
        self._peer_challenge = message.challenge
        version = message.protocol_version
        if version >> 8 != PROTOCOL_VERSION >> 8:
            raise RefusedError(
                StopResult.VERSION_NOT_SUPPORTED,
                f"the peer speaks L2TP version {version >> 8}.{version & 0xFF}, not 1.0",
                ErrorCode(PROTOCOL_VERSION),
            )
        if message.challenge is not None and self._config.secret is None:
            raise RefusedError(
                StopResult.NOT_AUTHORIZED,
                "the peer demands tunnel authentication, and no tunnel secret is configured here",
            )

    def _respond(self, kind: MessageType) -> bytes | None:
        if self._peer_challenge is None or self._config.secret is None:
            return None
        return authentication.response(kind, self._config.secret, self._peer_challenge)

    def _authenticate(self, kind: MessageType, received: bytes | None) -> None:
        if self._challenge is None or self._config.secret is None:
            return
        if received is None:
            raise RefusedError(
                StopResult.NOT_AUTHORIZED,
                "the peer does not answer our challenge: it has no tunnel secret",
            )
        if not authentication.is_valid(kind, self._config.secret, self._challenge, received):
            raise RefusedError(
                StopResult.NOT_AUTHORIZED,
                "tunnel authentication failed: the peer's tunnel secret differs from ours",
            )
        self.authenticated = True
