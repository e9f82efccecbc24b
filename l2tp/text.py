"""What peers say, made fit for events and logs."""

from l2tp.constants import CallResult, ErrorCode, StopResult
from l2tp.events import Result
from l2tp.values import ResultCode

MAX_TEXT = 64
"""Characters that are kept of a text from the peer."""


def printable(octets: bytes | None) -> str:
    """Return a text without NUL at the end (macOS and iOS send one) and all printable."""
    text = (octets or b"").rstrip(b"\0").decode("utf-8", "replace")[:MAX_TEXT]
    return "".join(character if character.isprintable() else "?" for character in text)


def received_result(code: ResultCode, registry: type[StopResult] | type[CallResult]) -> Result:
    """Return what a received Result Code AVP says.

    macOS and iOS send both codes in host byte order; no result has a low octet of zero.
    """
    result, error = code.result, code.error or 0
    if result & 0xFF == 0:
        result, error = result >> 8, error >> 8
    return Result(registry(result), ErrorCode(error), printable(code.message.encode()))


def result_code(result: Result) -> ResultCode:
    """Return the Result Code AVP to send."""
    return ResultCode(result.result, result.error, result.message)
