"""The Internet checksum, with scapy as the oracle."""

from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.utils import checksum as scapy_checksum

from wire.checksum import checksum


@given(st.binary(min_size=1, max_size=1501).filter(any))
@example(b"\xff\xff")
@example(b"\x01")
def test_checksum_is_scapys(octets: bytes) -> None:
    # Zero and 0xFFFF are the same number in one's complement.
    assert checksum(octets) % 0xFFFF == scapy_checksum(octets) % 0xFFFF


def test_checksum_over_itself_is_zero() -> None:
    assert checksum(bytes(IP(src="1.2.3.4", dst="5.6.7.8"))) == 0
