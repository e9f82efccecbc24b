"""What ESP costs: processor time for each packet, and memory for each pair of SAs.

    python benchmarks/esp.py

Compared with the obvious way, which makes a cipher and an HMAC anew for each packet. Both take
turns, and the least of many rounds counts, so that the ratio also holds on a busy machine.
"""

import hmac
import os
import resource
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from time import process_time
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.modes import CBC

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import AuthenticationAlgorithm, EspTransform
from ipsec.esp import InboundSa, OutboundSa

ROUNDS: Final = 15
PACKETS: Final = 500
PAIRS: Final = 2000
LENGTHS: Final = (64, 1400)
L2TP: Final = 18
"""Octets of UDP, L2TP and PPP header around an inner packet."""

HEADER: Final = Struct("!II")
AES: Final = EspTransform.AES_CBC
SHA1: Final = AuthenticationAlgorithm.HMAC_SHA1
ALGORITHMS: Final = {
    "AES-128-CBC, HMAC-SHA1-96": EspAlgorithms(AES, 128, SHA1),
    "AES-256-CBC, HMAC-SHA1-96": EspAlgorithms(AES, 256, SHA1),
    "AES-256-CBC, HMAC-SHA2-256-128": EspAlgorithms(
        AES, 256, AuthenticationAlgorithm.HMAC_SHA2_256
    ),
    "AES-128-GCM-16": EspAlgorithms(EspTransform.AES_GCM_16, 128),
    "3DES-CBC, HMAC-SHA1-96": EspAlgorithms(EspTransform.TRIPLE_DES, 0, SHA1),
}


class Naive:
    """Both ends of an SA that keep keys and nothing else."""

    def __init__(self, algorithms: EspAlgorithms, encryption: bytes, authentication: bytes) -> None:
        self.encryption_key = encryption
        self.authentication_key = authentication
        self.block_cipher = algorithms.encryption.block_cipher
        self.iv = algorithms.encryption.iv
        self.alignment = algorithms.encryption.alignment
        self.icv = algorithms.icv_length
        self.hash = algorithms.integrity.hash.name if algorithms.integrity else ""
        self.sequence = 0
        self.received: set[int] = set()

    def seal(self, payload: bytes) -> bytes:
        self.sequence += 1
        header = HEADER.pack(1, self.sequence)
        padding = -(len(payload) + 2) % self.alignment
        plaintext = payload + bytes(range(1, padding + 1)) + bytes([padding, 17])
        iv = os.urandom(self.iv)
        if self.block_cipher is None:
            aead = AESGCM(self.encryption_key[:-4])
            return header + iv + aead.encrypt(self.encryption_key[-4:] + iv, plaintext, header)
        context = Cipher(self.block_cipher(self.encryption_key), CBC(iv)).encryptor()
        covered = header + iv + context.update(plaintext) + context.finalize()
        return covered + hmac.digest(self.authentication_key, covered, self.hash)[: self.icv]

    def open(self, packet: bytes) -> bytes:
        sequence = HEADER.unpack(packet[:8])[1]
        if sequence in self.received:
            raise ValueError("replayed")
        iv, text = packet[8 : 8 + self.iv], packet[8 + self.iv :]
        if self.block_cipher is None:
            aead = AESGCM(self.encryption_key[:-4])
            plaintext = aead.decrypt(self.encryption_key[-4:] + iv, text, packet[:8])
        else:
            covered, icv = packet[: -self.icv], packet[-self.icv :]
            mac = hmac.digest(self.authentication_key, covered, self.hash)[: self.icv]
            if not hmac.compare_digest(mac, icv):
                raise ValueError("bad ICV")
            context = Cipher(self.block_cipher(self.encryption_key), CBC(iv)).decryptor()
            plaintext = context.update(text[: -self.icv]) + context.finalize()
        self.received.add(sequence)
        padding = plaintext[-2]
        if plaintext[-2 - padding : -2] != bytes(range(1, padding + 1)) or plaintext[-1] != 17:
            raise ValueError("bad trailer")
        return plaintext[: -2 - padding]


def microseconds(function: Callable[[bytes], bytes], arguments: list[bytes]) -> float:
    start = process_time()
    for argument in arguments:
        function(argument)
    return (process_time() - start) * 1e6 / len(arguments)


def measure(algorithms: EspAlgorithms, length: int) -> tuple[float, float, float, float]:
    """Return the costs of open and seal, ours and naive: open, open, seal, seal."""
    keys = algorithms.split(os.urandom(algorithms.keymat_length))
    outbound, inbound = (
        OutboundSa(1, algorithms, *keys, os.urandom),
        InboundSa(1, algorithms, *keys),
    )
    naive_outbound, naive_inbound = Naive(algorithms, *keys), Naive(algorithms, *keys)
    payloads = [os.urandom(length + L2TP)] * PACKETS
    best = [float("inf")] * 4
    for _ in range(ROUNDS):
        packets = [outbound.seal(payload) for payload in payloads]
        naive_packets = [naive_outbound.seal(payload) for payload in payloads]
        costs = (
            microseconds(inbound.open, packets),
            microseconds(naive_inbound.open, naive_packets),
            microseconds(outbound.seal, payloads),
            microseconds(naive_outbound.seal, payloads),
        )
        best = list(map(min, best, costs))
    return best[0], best[1], best[2], best[3]


def pair(algorithms: EspAlgorithms) -> tuple[OutboundSa, InboundSa]:
    """Return a pair of SAs that has been used."""
    keys = algorithms.split(os.urandom(algorithms.keymat_length))
    outbound = OutboundSa(1, algorithms, *keys, os.urandom)
    inbound = InboundSa(1, algorithms, *keys)
    inbound.open(outbound.seal(b"payload"))
    return outbound, inbound


def resident() -> float:
    """Return the memory that this process has, in kilobytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024


def print_memory() -> None:
    print(f"kilobytes for each of {PAIRS} pairs of SAs")
    kept = []
    for name, algorithms in ALGORITHMS.items():
        kept.append(pair(algorithms))
        before = resident()
        kept += [pair(algorithms) for _ in range(PAIRS)]
        print(f"{name:32}{(resident() - before) / PAIRS:6.1f}")


def print_costs() -> None:
    print("\nµs of processor time for each packet; naive: a new cipher and HMAC for each")
    print(f"{'':32} inner    open   naive  ratio    seal   naive  ratio")
    for name, algorithms in ALGORITHMS.items():
        for length in LENGTHS:
            opened, naive_opened, sealed, naive_sealed = measure(algorithms, length)
            print(
                f"{name:32}{length:6}{opened:8.2f}{naive_opened:8.2f}{naive_opened / opened:7.1f}"
                f"{sealed:8.2f}{naive_sealed:8.2f}{naive_sealed / sealed:7.1f}"
            )


if __name__ == "__main__":
    print_memory()  # first, because the other leaves free memory behind
    print_costs()
