"""An L2TP client over a UDP socket with IPv6, which xl2tpd cannot: OWN SERVER NAME PASSWORD.

IPsec is the kernel's beneath it, as with any client. Logs in, prints what it was given as lines
NAME=VALUE, and hangs up.
"""

import os
import select
import socket
import sys
import time

from l2tp.config import L2tpConfig
from l2tp.constants import CallResult, StopResult
from l2tp.events import Call, FrameReceived, SessionOpened
from l2tp.lac import Lac
from ppp import Credentials, Link, LinkConfig
from ppp.events import Ipv6Opened, NetworkOpened

PORT = 1701
PATIENCE = 20.0
PPP_IPV6 = b"\xff\x03\x00\x57"
PREFIX_INFORMATION = b"\x03\x04\x40"


class Dialer:
    """One call; `facts` are what it has learned."""

    def __init__(self, own: str, server: str, credentials: Credentials) -> None:
        self.facts: dict[str, str] = {}
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._socket.bind((own, PORT))
        self._socket.connect((server, PORT))
        self._lac = Lac(L2tpConfig(host_name="lac6"), os.urandom)
        self._link = Link(LinkConfig(credentials=credentials, ipv6=True), os.urandom)
        now = time.monotonic()
        self._tunnel = self._lac.connect("server", now)
        self._session = self._lac.call(self._tunnel, Call(1, 10**9, 10**9, 1), now)

    def dial(self) -> None:
        end = time.monotonic() + PATIENCE
        while len(self.facts) < 3 and time.monotonic() < end:
            self._settle()
            if select.select([self._socket], [], [], 0.1)[0]:
                self._lac.receive(self._socket.recv(4000), "server", time.monotonic())

    def hang_up(self) -> None:
        now = time.monotonic()
        self._lac.close_session(self._session, CallResult.LOSS_OF_CARRIER, message="", now=now)
        self._lac.close_tunnel(self._tunnel, StopResult.GENERAL_REQUEST, message="", now=now)
        self._send()

    def _settle(self) -> None:
        now = time.monotonic()
        self._lac.handle_timeout(now)
        while (event := self._lac.next_event()) is not None:
            if isinstance(event, SessionOpened):
                self._link.start(now)
            elif isinstance(event, FrameReceived):
                self._link.receive(event.frame, now)
                self._read_advertisement(event.frame)
        self._link.handle_timeout(now)
        while (told := self._link.next_event()) is not None:
            if isinstance(told, NetworkOpened):
                self.facts["address"] = str(told.local)
            elif isinstance(told, Ipv6Opened):
                self.facts["identifier"] = told.local.hex()
        for frame in self._link.frames_to_send():
            self._lac.send(self._session, frame)
        self._send()

    def _send(self) -> None:
        for datagram in self._lac.datagrams_to_send():
            self._socket.send(datagram.data)

    def _read_advertisement(self, frame: bytes) -> None:
        found = frame.find(PREFIX_INFORMATION, 40)
        if frame.startswith(PPP_IPV6) and found > 0:
            prefix = frame[found + 16 : found + 32]
            self.facts["prefix"] = socket.inet_ntop(socket.AF_INET6, prefix)


def main() -> None:
    own, server, name, password = sys.argv[1:]
    dialer = Dialer(own, server, Credentials(name, password))
    dialer.dial()
    for fact, value in dialer.facts.items():
        print(f"{fact}={value}")
    dialer.hang_up()


if __name__ == "__main__":
    main()
