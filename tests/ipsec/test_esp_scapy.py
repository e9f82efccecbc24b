"""ESP against scapy's own implementation of it: each opens what the other sealed."""

import warnings
from typing import Final

import pytest

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import AuthenticationAlgorithm, EspTransform
from tests.support.esp import ALL_ALGORITHMS, SPI, keys, name, pair

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # scapy imports what cryptography has deprecated
    from scapy.layers.inet import IP, UDP
    from scapy.layers.ipsec import ESP, SecurityAssociation

CIPHERS: Final = {
    EspTransform.AES_CBC: "AES-CBC",
    EspTransform.AES_GCM_16: "AES-GCM",
    EspTransform.TRIPLE_DES: "3DES",
    EspTransform.DES: "DES",
    EspTransform.NULL: "NULL",
}
HMACS: Final = {
    None: "NULL",
    AuthenticationAlgorithm.HMAC_MD5: "HMAC-MD5-96",
    AuthenticationAlgorithm.HMAC_SHA1: "HMAC-SHA1-96",
    AuthenticationAlgorithm.HMAC_SHA2_256: "SHA2-256-128",
    AuthenticationAlgorithm.HMAC_SHA2_384: "SHA2-384-192",
    AuthenticationAlgorithm.HMAC_SHA2_512: "SHA2-512-256",
}
PAYLOADS: Final = [bytes(range(length)) for length in (0, 1, 6, 7, 13, 14, 15, 16, 100)]

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")


def scapy_sa(algorithms: EspAlgorithms) -> SecurityAssociation:
    encryption_key, authentication_key = keys(algorithms)
    return SecurityAssociation(
        ESP,
        spi=SPI,
        crypt_algo=CIPHERS[algorithms.transform],
        crypt_key=encryption_key or None,
        auth_algo=HMACS[algorithms.authentication],
        auth_key=authentication_key or None,
    )


def udp(payload: bytes) -> UDP:
    return UDP(sport=1701, dport=1701, chksum=0) / payload


@pytest.mark.parametrize("algorithms", ALL_ALGORITHMS, ids=name)
def test_scapy_opens_what_we_seal(algorithms: EspAlgorithms) -> None:
    outbound, _ = pair(algorithms)
    theirs = scapy_sa(algorithms)
    for payload in PAYLOADS:
        datagram = bytes(udp(payload))
        packet = IP(src="192.0.2.1", dst="192.0.2.2", proto=50) / ESP(outbound.seal(datagram))
        opened = theirs.decrypt(IP(bytes(packet)))
        assert bytes(opened[UDP]) == datagram


@pytest.mark.parametrize("algorithms", ALL_ALGORITHMS, ids=name)
def test_we_open_what_scapy_seals(algorithms: EspAlgorithms) -> None:
    _, inbound = pair(algorithms)
    theirs = scapy_sa(algorithms)
    for payload in PAYLOADS:
        packet = theirs.encrypt(IP(src="192.0.2.1", dst="192.0.2.2") / udp(payload))
        assert inbound.open(bytes(packet[ESP])) == bytes(udp(payload))
