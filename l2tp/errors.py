"""How a peer can be wrong, and what it is told (RFC 2661 sections 4.4.2 and 7.1)."""

from collections.abc import Mapping

from l2tp.constants import AttributeType, CallResult, ErrorCode, MessageType, StopResult
from l2tp.values import Value
from wire import PeerError

GENERAL_ERROR = 2
"""The Result Code of StopCCN and CDN alike that refers to the Error Code."""


class AvpError(PeerError):
    """The value of one AVP is wrong; `why` completes "AVP so-and-so ..."."""

    def __init__(self, why: str, error: ErrorCode) -> None:
        super().__init__(GENERAL_ERROR, why)
        self.error = error


class MessageError(PeerError):
    """A control message is wrong beyond repair.

    `kind` is its type if it has one, `values` what could be read of it. `whole_tunnel` says
    that the control connection is to be cleared even if the message concerns one session.
    """

    def __init__(
        self,
        kind: MessageType | None,
        values: Mapping[AttributeType, Value],
        fault: AvpError,
        whole_tunnel: bool = False,
    ) -> None:
        subject = "a control message" if kind is None else str(kind)
        super().__init__(GENERAL_ERROR, f"the peer sent {subject}: {fault.why}")
        self.kind = kind
        self.values = values
        self.error = fault.error
        self.whole_tunnel = whole_tunnel

    def number(self, attribute_type: AttributeType) -> int:
        """Return a number that could be read, or 0."""
        value = self.values.get(attribute_type)
        return value if isinstance(value, int) else 0

    def text(self, attribute_type: AttributeType) -> bytes:
        """Return octets that could be read, or none."""
        value = self.values.get(attribute_type)
        return value if isinstance(value, bytes) else b""


class RefusedError(PeerError):
    """What the peer wants is refused: `code` is the Result Code, `error` the Error Code."""

    def __init__(
        self,
        code: StopResult | CallResult,
        why: str,
        error: ErrorCode = ErrorCode.NONE,
    ) -> None:
        super().__init__(code, why)
        self.error = error
