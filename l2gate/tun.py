"""The TUN device: where inner packets leave the program for the kernel, and come back.

Packets cross one by one. The kernel would take runs of TCP segments as one (IFF_VNET_HDR),
but only unchecked: whoever merges segments must verify their checksums first.
"""

import errno
import fcntl
import os
from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Final

from l2gate.batch import BATCH
from wire.types import Octets

_DEVICE: Final = "/dev/net/tun"
_LARGEST: Final = 65535

# From <linux/if.h> and <linux/if_tun.h>.
_IFNAMSIZ: Final = 16
_IFREQ: Final = Struct("=16sH22x")
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000


class TunError(Exception):
    """The TUN device cannot be opened; the text says why and what to do."""


class Tun:
    """One TUN device, which lives as long as the object; the kernel removes it at any exit.

    `drops` counts packets that the kernel did not take.
    """

    def __init__(self, name: str) -> None:
        """Make the device; `name` may hold %d for a free number. Raises TunError."""
        octets = name.encode()
        if not 0 < len(octets) < _IFNAMSIZ:
            raise TunError(f"{name!r} is no name of a network device: 1 to 15 octets are")
        try:
            self._fd = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError as error:
            mend = f"whoever the server runs as must be able to open it: chmod 666 {_DEVICE}"
            raise TunError(f"{_DEVICE}: {error.strerror} ({mend})") from error
        except OSError as error:
            raise TunError(
                f"{_DEVICE}: {error.strerror} (load the module tun; give a container the device "
                "and CAP_NET_ADMIN: --device /dev/net/tun --cap-add NET_ADMIN)"
            ) from error
        try:
            answer = fcntl.ioctl(self._fd, _TUNSETIFF, _IFREQ.pack(octets, _IFF_TUN | _IFF_NO_PI))
        except OSError as error:
            os.close(self._fd)
            hint = {
                errno.EBUSY: "another program, perhaps another l2gate, uses this device",
                errno.EPERM: "the capability CAP_NET_ADMIN is missing; start as root",
                errno.EINVAL: "a device of another kind has this name",
            }.get(error.errno or 0, "see tun(4)")
            raise TunError(f"TUN device {name}: {error.strerror} ({hint})") from error
        self.name = _IFREQ.unpack(answer)[0].rstrip(b"\0").decode()
        self.drops = 0

    def fileno(self) -> int:
        """Return the descriptor, for the event loop."""
        return self._fd

    def close(self) -> None:
        """Close the descriptor, and with it remove the device, its addresses and routes."""
        os.close(self._fd)

    def receive(self) -> Sequence[bytes]:
        """Return at most BATCH packets that the kernel routed here; fewer mean no more."""
        packets: list[bytes] = []
        try:
            while len(packets) < BATCH:
                packets.append(os.read(self._fd, _LARGEST))
        except OSError:
            pass  # no more is there, or the device is down
        return packets

    def send(self, packets: Iterable[Octets]) -> None:
        """Give packets to the kernel; those that it does not take are lost, as on any link."""
        for packet in packets:
            try:
                os.write(self._fd, packet)
            except OSError:
                self.drops += 1
