"""What peers say, made fit for the log."""

import pytest

from l2tp.constants import CallResult, ErrorCode, StopResult
from l2tp.events import Result
from l2tp.text import printable, received_result, result_code
from l2tp.values import ResultCode


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (None, ""),
        (b"", ""),
        (b"host", "host"),
        (b"iphone\0", "iphone"),
        (b"a\nb\x1b[31m\0c", "a?b?[31m?c"),
        ("Büro".encode(), "Büro"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 1000, "x" * 64),
    ],
)
def test_printable(octets: bytes | None, text: str) -> None:
    assert printable(octets) == text


@pytest.mark.parametrize(
    ("code", "result"),
    [
        (ResultCode(1), Result(StopResult.GENERAL_REQUEST)),
        (ResultCode(6, 0), Result(StopResult.SHUTTING_DOWN)),
        (ResultCode(2, 4, "full\n"), Result(StopResult.GENERAL_ERROR, ErrorCode(4), "full?")),
        (ResultCode(0x0100), Result(StopResult.GENERAL_REQUEST)),
        (ResultCode(0x0200, 0x0600), Result(StopResult.GENERAL_ERROR, ErrorCode(6))),
        (ResultCode(5, 0x0100), Result(StopResult.VERSION_NOT_SUPPORTED, ErrorCode(0x0100))),
        (ResultCode(77), Result(StopResult(77))),
        (ResultCode(0), Result(StopResult(0))),
    ],
    ids=str,
)
def test_received_result(code: ResultCode, result: Result) -> None:
    assert received_result(code, StopResult) == result


def test_how_a_result_reads() -> None:
    assert str(received_result(ResultCode(3), CallResult)) == "ADMINISTRATIVE"
    full = Result(CallResult.GENERAL_ERROR, ErrorCode.NO_RESOURCES, "full")
    assert str(full) == "GENERAL_ERROR, NO_RESOURCES (full)"


def test_a_result_is_sent_with_its_error_code() -> None:
    assert result_code(Result(CallResult.BUSY)).build() == b"\0\x08\0\0"
    assert result_code(Result(CallResult(2), ErrorCode(4), "x")).build() == b"\0\2\0\4x"
