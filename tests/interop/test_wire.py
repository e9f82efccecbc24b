"""What the server sends, as seen on the wire and decrypted with the client's keys."""

import dataclasses

import pytest

from tests.interop import tshark, wire_time
from tests.interop.lab import SERVER, Client, Lab
from tests.interop.server import SALES, Server

pytestmark = pytest.mark.interop

ROUNDS = 8
MOST_WAITED = 0.100
"""Seconds that a client may wait for the server during a whole login, in sum."""


def test_client_hardly_waits_for_the_server(server: Server, lab: Lab, direct: Client) -> None:
    """The best of some logins counts: this machine has other things to do as well."""
    seen: list[wire_time.Waits] = []
    while len(seen) < ROUNDS and not any(waited.server < MOST_WAITED for waited in seen):
        with lab.capture(f"login-{len(seen)}") as capture:
            direct.connect(SALES)
            keys = direct.ipsec_keys()
        direct.hang_up()
        seen.append(wire_time.waits(wire_time.packets(capture, keys), SERVER))
    print(*seen, sep="\n")
    assert min(waited.server for waited in seen) < MOST_WAITED


def test_wireshark_finds_nothing_malformed(server: Server, lab: Lab, anywhere: Client) -> None:
    login = dataclasses.replace(SALES, settings={"IKE_LOG": "4"})
    with lab.capture(anywhere.machine.name) as capture:
        anywhere.connect(login)
        anywhere.ping()
        keys, ike_log = anywhere.ipsec_keys(), anywhere.log("ike.log")
        anywhere.hang_up()

    def sent(what: str, *names: str) -> list[list[str]]:
        ours = f"ip.src == {SERVER} && ({what})"
        return tshark.fields(capture, ours, names or ("frame.number",), keys, ike_log)

    # The keys have opened it all, so what follows has something to look at.
    assert not sent("esp && !l2tp")
    for protocol in ("l2tp.type == 1", "lcp", "chap", "ipcp", "icmp"):
        assert sent(protocol), protocol
    assert sent("isakmp.exchangetype == 32 && isakmp.hash"), "a decrypted quick mode"
    assert not sent("esp.icv_bad == 1")
    # A message that a slow client was sent again is decrypted with the IV that follows its first
    # copy, and then looks malformed: only first copies count.
    seen: set[str] = set()
    repeated = set()
    for number, payload in sent("isakmp", "frame.number", "udp.payload"):
        if payload in seen:
            repeated.add(number)
        seen.add(payload)
    what, how = "_ws.malformed || _ws.short || _ws.expert.severity == error", "_ws.expert.message"
    found = sent(what, "frame.number", "_ws.col.Info", how)
    assert [row for row in found if row[0] not in repeated] == []
