"""DHCPINFORM as Windows and macOS send it through a tunnel, and what is answered; by scapy."""

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP

EVERYBODY = "255.255.255.255"
WINDOWS_WANTS = [15, 44, 46, 47, 6, 3, 33, 121, 249, 43, 31, 252]
MACOS_WANTS = [6, 44, 43, 1, 249, 15]
MACOS_CHADDR = bytes.fromhex("00000001000000000000000000000001")

Options = list[object]


def request(
    options: Options, source: str, destination: str = EVERYBODY, port: int = 67, **fields: object
) -> bytes:
    """Return the IPv4 packet with a message to a server; `fields` are those of BOOTP."""
    datagram = IP(src=source, dst=destination) / UDP(sport=68, dport=port)
    message = BOOTP(**{"op": 1, "ciaddr": source, "xid": 0x1234, **fields})
    return bytes(datagram / message / DHCP(options=options))


def windows_options(wants: list[int] | None = None) -> Options:
    return [
        ("message-type", "inform"),
        ("client_id", b"\x01\x00\x53\x45\x00\x00\x00"),
        ("hostname", "LAPTOP"),
        ("vendor_class_id", b"MSFT 5.0"),
        ("param_req_list", wants or WINDOWS_WANTS),
        "end",
    ]


def windows_inform(
    address: str, destination: str = EVERYBODY, wants: list[int] | None = None
) -> bytes:
    """Return what Windows sends; xid and chaddr are its own choice."""
    chaddr = bytes.fromhex("005345000000") + bytes(10)
    options = windows_options(wants)
    return request(options, address, destination, htype=8, hlen=6, xid=0xC0FFEE01, chaddr=chaddr)


def macos_inform(address: str) -> bytes:
    """Return what pppd on macOS sends: no UDP checksum, and zeros behind the end."""
    options = [
        ("message-type", "inform"),
        ("client_id", b"\x08\x00\x00\x00\x01\x00\x00"),
        ("param_req_list", MACOS_WANTS),
        "end",
        *["pad"] * 3,
    ]
    fields = {"htype": 8, "hlen": 6, "xid": 1, "chaddr": MACOS_CHADDR}
    packet = IP(request(options, address, **fields))
    packet[UDP].chksum = 0
    return bytes(packet)


def answered(packet: bytes) -> dict[object, object]:
    """Return the options of an answer in their order, by scapy's names or their numbers."""
    options = IP(packet)[DHCP].options
    assert options[options.index("end") :] == ["end"] + ["pad"] * options.count("pad")
    return {
        option[0]: option[1] if len(option) == 2 else list(option[1:])
        for option in options
        if isinstance(option, tuple)
    }
