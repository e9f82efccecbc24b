"""MD4 against the test suite of RFC 1320, appendix A.5, and across block boundaries."""

import pytest

from ppp.md4 import md4

SUITE = {
    "": "31d6cfe0d16ae931b73c59d7e0c089c0",
    "a": "bde52cb31de33e46245e05fbdbd6fb24",
    "abc": "a448017aaf21d8525fc10ae87aa6729d",
    "message digest": "d9130a8164549fe818874806e1c7014b",
    "abcdefghijklmnopqrstuvwxyz": "d79e1c308aa5bbcdeea8ed63df412da9",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789": (
        "043f8582f241db351ce627e153e7f0e4"
    ),
    "1234567890" * 8: "e33b4ddc9c38f2199c3e7b164fcc0536",
}


@pytest.mark.parametrize(("message", "digest"), SUITE.items())
def test_suite(message: str, digest: str) -> None:
    assert md4(message.encode()).hex() == digest


def test_padding_fills_every_length_to_whole_blocks() -> None:
    digests = {md4(bytes(length)) for length in range(200)}
    assert len(digests) == 200
