"""What systemd wants to hear from a service (sd_notify(3)): datagrams to the socket it names.

Without systemd there is no socket, and everything here does nothing.
"""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """`watchdog` is how often in seconds `alive` is to be called, or None."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        microseconds = environment.get("WATCHDOG_USEC", "")
        process = environment.get("WATCHDOG_PID", str(os.getpid()))
        ours = self._address and microseconds.isdigit() and process == str(os.getpid())
        self.watchdog = int(microseconds) / 2_000_000 if ours and int(microseconds) else None

    def ready(self, status: str) -> None:
        """Say that the service is there, or there again after `reloading`."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self, monotonic: float) -> None:
        """Say that the configuration is being read, at this time of CLOCK_MONOTONIC in seconds."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic * 1_000_000)}")

    def stopping(self, status: str) -> None:
        """Say that the service ends."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def alive(self, status: str) -> None:
        """Say that the event loop turns."""
        self._send(f"WATCHDOG=1\nSTATUS={status}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(text.encode(), self._address)
        except OSError:  # whoever started us is gone, or does not listen: nobody to tell
            return
