"""Tunnel authentication (RFC 2661 section 5.1.1); real responses: tests/captures."""

from hashlib import md5

from l2tp.authentication import is_valid, response
from l2tp.constants import MessageType


def test_the_response_is_chaps_with_the_message_type_for_identifier() -> None:
    assert response(MessageType.SCCRP, b"secret", b"cc") == md5(b"\x02secretcc").digest()
    assert response(MessageType.SCCCN, b"secret", b"cc") == md5(b"\x03secretcc").digest()


def test_only_the_right_response_is_valid() -> None:
    right = response(MessageType.SCCCN, b"secret", b"challenge")
    assert is_valid(MessageType.SCCCN, b"secret", b"challenge", right)
    assert not is_valid(MessageType.SCCRP, b"secret", b"challenge", right)
    assert not is_valid(MessageType.SCCCN, b"secret2", b"challenge", right)
    assert not is_valid(MessageType.SCCCN, b"secret", b"challengf", right)
    for wrong in (b"", right[:-1], right + b"\0", bytes(16)):
        assert not is_valid(MessageType.SCCCN, b"secret", b"challenge", wrong)
