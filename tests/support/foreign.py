"""First messages of other protocols on IKE's ports, octet by octet."""

WINDOWS_10 = "1e2b516905991c7d7c96fcbfb587e46100000009"


def payload(following: int, body: bytes) -> bytes:
    return bytes([following, 0]) + (4 + len(body)).to_bytes(2, "big") + body


def ikev2(
    cookie: bytes = b"\x11" * 8,
    exchange: int = 34,
    flags: int = 8,
    number: int = 0,
    version: int = 0x20,
    other: bytes = bytes(8),
    vendor_id: str = WINDOWS_10,
) -> bytes:
    """Return an IKE_SA_INIT as in RFC 7296 section 1.2: SA, KE, Ni, and a vendor id."""
    body = payload(34, bytes(40)) + payload(40, bytes(264)) + payload(43, bytes(48))
    body += payload(0, bytes.fromhex(vendor_id))
    head = cookie + other + bytes([33, version, exchange, flags]) + number.to_bytes(4, "big")
    return head + (28 + len(body)).to_bytes(4, "big") + body
