"""What a packet costs in the forwarder, in memory: `python -m benchmarks.forwarder`.

Prints process time for each packet, and how many times as much the plainest correct way of
writing it down takes: codecs as they stand in the RFCs, a new cipher and a new HMAC each time.
Takes about half a minute.
"""

import hmac
import os
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha1
from statistics import median
from struct import pack
from time import process_time

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import AuthenticationAlgorithm, EspTransform
from ipsec.replay import ReplayWindow
from l2gate.forwarder import Forwarder
from l2gate.records import Tables
from l2tp.header import DataHeader
from tests.support.dataplane import TUN, Client, Upcalls
from wire import Reader, Writer

PACKETS = 2000
ROUNDS = 9
BATCH = 48
SIZES = (1400, 64)
ALGORITHMS = {
    "AES-128-CBC, SHA1": EspAlgorithms(
        EspTransform.AES_CBC, 128, AuthenticationAlgorithm.HMAC_SHA1
    ),
    "AES-256-CBC, SHA1": EspAlgorithms(
        EspTransform.AES_CBC, 256, AuthenticationAlgorithm.HMAC_SHA1
    ),
    "AES-256-CBC, SHA2-256": EspAlgorithms(
        EspTransform.AES_CBC, 256, AuthenticationAlgorithm.HMAC_SHA2_256
    ),
    "AES-128-GCM": EspAlgorithms(EspTransform.AES_GCM_16, 128, None),
}


def ipv4(source: str, destination: str, size: int) -> bytes:
    """An IPv4 packet with a TCP segment, as a download or upload consists of."""
    addresses = b"".join(bytes(map(int, host.split("."))) for host in (source, destination))
    header = pack("!BBHHHBBH", 0x45, 0, size, 0, 0x4000, 64, 6, 0) + addresses
    return (header + pack("!HHIIBBHHH", 443, 50000, 1, 1, 0x50, 0x10, 500, 0, 0)).ljust(size, b"x")


def measure(prepare: Callable[[], Callable[[], None]], packets: int = PACKETS) -> float:
    """Return microseconds for each packet: the median of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        work = prepare()
        start = process_time()
        work()
        rounds.append((process_time() - start) / packets * 1e6)
    return median(rounds)


def up(algorithms: EspAlgorithms, size: int) -> Callable[[], None]:
    tables = Tables()
    forwarder, client = Forwarder(tables, Upcalls()), Client(tables, algorithms=algorithms)
    packet = ipv4("172.16.1.51", "192.168.1.5", size)
    sealed = [client.seal(client.l2tp(b"\xff\x03\x00\x21" + packet)) for _ in range(PACKETS)]

    def work() -> None:
        for start in range(0, PACKETS, BATCH):
            for one in sealed[start : start + BATCH]:
                forwarder.receive_esp(one, client.path)
            forwarder.take_tun()
        if client.session.packets_in != PACKETS:
            raise RuntimeError("packets were dropped")

    return work


def down(algorithms: EspAlgorithms, size: int) -> Callable[[], None]:
    tables = Tables()
    forwarder, client = Forwarder(tables, Upcalls()), Client(tables, algorithms=algorithms)
    packet = ipv4("192.168.1.5", "172.16.1.51", size)

    def work() -> None:
        for start in range(0, PACKETS, BATCH):
            for _ in range(start, min(PACKETS, start + BATCH)):
                forwarder.receive_inner(packet, TUN)
            forwarder.take_wire()
        if client.session.packets_out != PACKETS:
            raise RuntimeError("packets were dropped")

    return work


def naive_up(size: int) -> Callable[[], None]:
    """AES-128-CBC and SHA1, without anything that is kept from packet to packet."""
    tables = Tables()
    client = Client(tables, algorithms=ALGORITHMS["AES-128-CBC, SHA1"])
    key, authentication = bytes([client.inbound.spi & 0xFF]) * 16, b"a" * 20
    packet = ipv4("172.16.1.51", "192.168.1.5", size)
    sealed = [client.seal(client.l2tp(b"\xff\x03\x00\x21" + packet)) for _ in range(PACKETS)]
    window = ReplayWindow()

    def open_packet(esp: bytes) -> bytes:
        reader = Reader(esp)
        spi, sequence = reader.u32(), reader.u32()
        iv = reader.take(16)
        text, icv = reader.take(reader.remaining - 12), reader.rest()
        if tables.sas[spi] is None or not window.check(sequence):
            raise RuntimeError("replay")
        if not hmac.compare_digest(hmac.new(authentication, esp[:-12], sha1).digest()[:12], icv):
            raise RuntimeError("integrity")
        window.update(sequence)
        decryptor = Cipher(AES(key), CBC(iv)).decryptor()
        plain = decryptor.update(text) + decryptor.finalize()
        udp = Reader(plain[: -2 - plain[-2]])
        udp.u16(), udp.u16(), udp.u16(), udp.u16()
        header, frame = DataHeader.parse(udp)
        session = tables.sessions[header.tunnel_id << 16 | header.session_id]
        ip = Reader(frame[4:])
        ip.skip(12)
        if ip.u32() != session.address:
            raise RuntimeError("spoofed")
        return frame[4:]

    def work() -> None:
        for one in sealed:
            open_packet(one)

    return work


def naive_down(size: int) -> Callable[[], None]:
    """The same for the other direction."""
    tables = Tables()
    Client(tables)
    key, authentication = b"k" * 16, b"a" * 20
    packet = ipv4("192.168.1.5", "172.16.1.51", size)

    def seal(packet: bytes, sequence: int) -> bytes:
        ip = Reader(packet)
        ip.skip(16)
        session = tables.addresses[ip.u32()]
        header = DataHeader(session.peer_tunnel_id, session.peer_session_id)
        message = header.build(b"\xff\x03\x00\x21" + packet)
        udp = Writer().u16(1701).u16(session.port).u16(8 + len(message)).u16(0).put(message).build()
        pad = -(len(udp) + 2) % 16
        text = udp + bytes(range(1, pad + 1)) + bytes((pad, 17))
        iv = os.urandom(16)
        encryptor = Cipher(AES(key), CBC(iv)).encryptor()
        covered = (
            Writer().u32(1).u32(sequence).put(iv).put(encryptor.update(text)).build()
            + encryptor.finalize()
        )
        return covered + hmac.new(authentication, covered, sha1).digest()[:12]

    def work() -> None:
        for sequence in range(PACKETS):
            seal(packet, sequence)

    return work


def main() -> None:
    """Print the table."""
    print(f"{'microseconds for each packet':32}{'up':>8}{'down':>8}")
    for size in SIZES:
        naive: Sequence[float] = (
            measure(partial(naive_up, size)),
            measure(partial(naive_down, size)),
        )
        print(f"{f'{size} octets, plainest way':32}{naive[0]:8.2f}{naive[1]:8.2f}")
        for name, algorithms in ALGORITHMS.items():
            ours = (
                measure(partial(up, algorithms, size)),
                measure(partial(down, algorithms, size)),
            )
            rates = "  1/{:.1f} and 1/{:.1f}".format(
                *(n / o for n, o in zip(naive, ours, strict=True))
            )
            print(f"{f'{size} octets, {name}':32}{ours[0]:8.2f}{ours[1]:8.2f}{rates}")


if __name__ == "__main__":
    main()
