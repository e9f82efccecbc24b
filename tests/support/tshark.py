"""tshark as an oracle: what does an independent dissector make of our packets?"""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from shutil import which
from struct import pack
from tempfile import TemporaryDirectory

from tests.support.prerequisites import need

ETHERNET = 1
PPP = 9
RAW_IP = 101


def pcap(packets: Iterable[bytes], linktype: int) -> bytes:
    """Return a capture of these packets, a second apart."""
    records = (
        pack("<IIII", second, 0, len(packet), len(packet)) + packet
        for second, packet in enumerate(packets)
    )
    return pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, linktype) + b"".join(records)


def dissect(packets: Iterable[bytes], linktype: int, *options: str) -> list[str]:
    """Return the lines that tshark prints with these options."""
    need("" if which("tshark") else "tshark is not installed")
    with TemporaryDirectory() as directory:
        path = Path(directory) / "packets.pcap"
        path.write_bytes(pcap(packets, linktype))
        command = ["tshark", "-n", "-r", str(path), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def read(capture: Path, configuration: Path, *options: str) -> list[str]:
    """Return what tshark prints of a capture file with a Wireshark configuration directory."""
    need("" if which("tshark") else "tshark is not installed")
    command = ["tshark", "-n", "-r", str(capture), *options]
    settings = {**os.environ, "WIRESHARK_CONFIG_DIR": str(configuration)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=settings)
    return done.stdout.splitlines()


def malformed(packets: Iterable[bytes], linktype: int) -> list[str]:
    """Return a line for each packet that tshark finds malformed or objects to."""
    odd = "_ws.malformed || _ws.expert.severity >= 0x600000"
    return dissect(packets, linktype, "-Y", odd)


def udp(payload: bytes, source: int, destination: int) -> bytes:
    """Return an IPv4 packet (RAW_IP) with a UDP datagram between two example hosts."""
    datagram = pack("!HHHH", source, destination, 8 + len(payload), 0) + payload
    header = pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0)
    addresses = bytes([192, 0, 2, 1, 192, 0, 2, 2])
    return _with_checksum(header + addresses) + datagram


def _with_checksum(header: bytes) -> bytes:
    total = sum(int.from_bytes(header[i : i + 2]) for i in range(0, len(header), 2))
    total = (total & 0xFFFF) + (total >> 16)
    return header[:10] + pack("!H", ~(total + (total >> 16)) & 0xFFFF) + header[12:]
