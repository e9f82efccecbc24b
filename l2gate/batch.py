"""Receiving many datagrams with one system call: recvmmsg(2).

A system call for each packet costs more than decrypting it. Python has no recvmmsg, so it is
called in libc; where that cannot be, `Recvmsg` does the same with one call for each datagram.
Both return for each datagram its octets and its `Path`, whose local address is the one that
the packet was addressed to (IP_PKTINFO; IPV6_PKTINFO of RFC 3542), also on a wildcard socket.
"""

import ctypes
import socket
from collections.abc import Callable, Sequence
from mmap import mmap
from struct import Struct
from typing import Final, Protocol

from ipsec.path import Address, Path

BATCH: Final = 48
"""Datagrams in a batch, at most: enough to make the call cheap, few enough to stay in cache."""
SLOT: Final = 65 << 10
"""Octets of a datagram: room for the longest that there are, which IKE with certificates can send.
No power of two, so that slots do not compete for the same lines of the cache."""

IP_PKTINFO: Final = 8
"""From <linux/in.h>; Python 3.11 has no name for it."""
IPV4_PKTINFO: Final = Struct("=I4s4s")
"""Interface, local address, destination address in the header (ip(7))."""
IPV6_PKTINFO: Final = Struct("=16sI")
"""Destination address, interface (RFC 3542 section 6)."""

_NAME: Final = 32
_CONTROL: Final = 64
_ORIGIN: Final = _NAME + _CONTROL
_SOCKADDR_IN: Final = Struct("!2xH4s")
_SOCKADDR_IN6: Final = Struct("!2xH4x16s")
_SCOPE: Final = Struct("=24xI")
_CMSG_DATA: Final = socket.CMSG_LEN(0)
_KNOWN_PATHS: Final = 8192


class Receiver(Protocol):
    """One way to empty a socket."""

    def receive(self) -> Sequence[tuple[bytes, Path]]:
        """Return at most BATCH datagrams; fewer mean that no more were there.

        Never blocks and never raises.
        """


def make_receiver(sock: socket.socket, port: int) -> Receiver:
    """Return the fastest receiver that there is for a socket on which PKTINFO is switched on.

    `port` is the local one of all paths: a raw socket has none, and 0 here.
    """
    try:
        call = ctypes.CDLL(None, use_errno=True).recvmmsg
    except (AttributeError, OSError):
        return Recvmsg(sock, port)
    pointer = ctypes.c_void_p
    call.argtypes = (ctypes.c_int, pointer, ctypes.c_uint, ctypes.c_int, pointer)
    call.restype = ctypes.c_int
    return Recvmmsg(sock, port, call)


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("header", _MsgHdr), ("length", ctypes.c_uint))


class Recvmmsg:
    """Receives a batch into the slots of buffers that are made once.

    What the kernel says of a datagram's origin, a sockaddr and a control message, lies in a
    slot of its own and is translated once for each path.
    """

    def __init__(self, sock: socket.socket, port: int, call: Callable[..., int]) -> None:
        self._call = call
        self._fd = sock.fileno()
        self._port = port
        self._decode = _ipv6_path if sock.family == socket.AF_INET6 else _ipv4_path
        self._paths: dict[bytes, Path] = {}
        # Of memory that is mapped, only pages in use are there.
        data, origins = mmap(-1, BATCH * SLOT), bytearray(BATCH * _ORIGIN)
        self._data, self._origins = memoryview(data), memoryview(origins)
        data_address = ctypes.addressof(ctypes.c_char.from_buffer(data))
        name = ctypes.addressof(ctypes.c_char.from_buffer(origins))
        self._vectors = (_IoVec * BATCH)()
        vector = ctypes.addressof(self._vectors)
        headers = (_MMsgHdr * BATCH)()
        for n in range(BATCH):
            self._vectors[n] = _IoVec(data_address + n * SLOT, SLOT)
            headers[n].header = _MsgHdr(name, _NAME, vector, 1, name + _NAME, _CONTROL, 0)
            name += _ORIGIN
            vector += ctypes.sizeof(_IoVec)
        self._headers_address = ctypes.addressof(headers)
        self._headers = memoryview(headers).cast("B")
        # The kernel writes lengths and flags into the headers, so they are set anew each time.
        self._fresh_headers = bytes(self._headers)
        words = ctypes.sizeof(ctypes.c_uint)
        first, step = _MMsgHdr.length.offset // words, ctypes.sizeof(_MMsgHdr) // words
        self._lengths = self._headers.cast("I")[first::step]

    def receive(self) -> Sequence[tuple[bytes, Path]]:
        """See Receiver."""
        self._headers[:] = self._fresh_headers
        count = self._call(self._fd, self._headers_address, BATCH, socket.MSG_DONTWAIT, None)
        if count <= 0:
            return ()
        data, origins, paths = self._data, self._origins, self._paths
        received = []
        at = 0
        for n, length in enumerate(self._lengths[:count].tolist()):
            origin = origins[n * _ORIGIN : (n + 1) * _ORIGIN].tobytes()
            path = paths.get(origin) or self._learn_path(origin)
            received.append((data[at : at + length].tobytes(), path))
            at += SLOT
        return received

    def _learn_path(self, origin: bytes) -> Path:
        if len(self._paths) >= _KNOWN_PATHS:
            self._paths.clear()
        path = self._decode(origin[:_NAME], origin[_NAME + _CMSG_DATA :], self._port)
        self._paths[origin] = path
        return path


class Recvmsg:
    """Receives a batch with one call for each datagram."""

    def __init__(self, sock: socket.socket, port: int) -> None:
        self._sock = sock
        self._port = port
        self._is_ipv6 = sock.family == socket.AF_INET6

    def receive(self) -> Sequence[tuple[bytes, Path]]:
        """See Receiver."""
        received: list[tuple[bytes, Path]] = []
        while len(received) < BATCH:
            try:
                data, ancillary, _, peer = self._sock.recvmsg(SLOT, _CONTROL, socket.MSG_DONTWAIT)
            except OSError:
                break
            pktinfo = ancillary[0][2]
            if self._is_ipv6:
                local, remote = _ipv6_local(pktinfo), _scoped(peer[0], peer[3])
            else:
                local, remote = _ipv4_local(pktinfo), peer[0]
            received.append((data, Path(Address(local, self._port), Address(remote, peer[1]))))
        return received


def _ipv4_path(name: bytes, pktinfo: bytes, local_port: int) -> Path:
    port, host = _SOCKADDR_IN.unpack_from(name)
    peer = Address(socket.inet_ntop(socket.AF_INET, host), port)
    return Path(Address(_ipv4_local(pktinfo), local_port), peer)


def _ipv6_path(name: bytes, pktinfo: bytes, local_port: int) -> Path:
    port, host = _SOCKADDR_IN6.unpack_from(name)
    (scope,) = _SCOPE.unpack_from(name)
    peer = Address(_scoped(socket.inet_ntop(socket.AF_INET6, host), scope), port)
    return Path(Address(_ipv6_local(pktinfo), local_port), peer)


def _ipv4_local(pktinfo: bytes) -> str:
    _, _, destination = IPV4_PKTINFO.unpack_from(pktinfo)
    return socket.inet_ntop(socket.AF_INET, destination)


def _ipv6_local(pktinfo: bytes) -> str:
    destination, interface = IPV6_PKTINFO.unpack_from(pktinfo)
    return _scoped(socket.inet_ntop(socket.AF_INET6, destination), interface)


def _scoped(host: str, interface: int) -> str:
    """Return an IPv6 address with its zone, where it means nothing without (RFC 4007)."""
    return f"{host}%{interface}" if host.startswith("fe80:") else host
