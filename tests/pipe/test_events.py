"""The event log of whole sessions: which events there are, in which order, and what they hold."""

import json
import re
from pathlib import Path

from l2gate.configuration import Proposals
from l2gate.event_log import as_line
from l2gate.events import Happening
from l2gate.gateway import IDLE_PEER
from tests.support.client import ClientState
from tests.support.lab import PASSWORD, PSK, Lab, assert_passes_traffic
from tests.support.simulation import Nat

Event = dict[str, object]

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "events.md").read_text()
ROWS = re.findall(r"^\| `([a-z-]+)` \| .* \|(.*)\|$", DOCUMENT, re.MULTILINE)
DOCUMENTED = {event: set(re.findall(r"`(\w+)`", keys)) for event, keys in ROWS}
COMMON = {"time", "event", "text", "attempt", "peer", "user", "session", "mend", "windows"}
SERVER = {"server-ready", "server-stopping", "reloaded", "reload-refused", "left-out"}
"""Those of the program around the gateway."""

LOGIN = [
    "peer-authenticated",
    "sa-established",
    "tunnel-established",
    "login-accepted",
    "session-opened",
]
HANG_UP = ["session-ended", "tunnel-closed", "peer-closed"]


def written(lab: Lab) -> list[Event]:
    """Return the events up to now."""
    return [json.loads(as_line(noted, 0.0)) for noted in lab.server.log]


def names(events: list[Event]) -> list[object]:
    return [event["event"] for event in events]


def a_whole_session() -> list[Event]:
    lab = Lab()
    client = lab.client("u1@sales.example.com", "192.168.77.11", Nat("198.51.100.1"))
    assert lab.run(10, lambda: client.state is ClientState.UP)
    assert_passes_traffic(lab, client)
    client.hang_up(lab.simulation.now)
    lab.run(IDLE_PEER + 10)
    return written(lab)


def refusals() -> list[Event]:
    lab = Lab(proposals=Proposals.STRICT)
    lab.client("u1", "198.51.100.11", password="wrong")
    lab.client("u1", "198.51.100.12", psk=b"quite another one")
    for number in range(2):
        lab.client("u1@tiny.example.com", f"198.51.100.2{number}")
        lab.run(5)
    lab.run(IDLE_PEER + 120)
    return written(lab)


def test_a_session_from_its_first_packet_to_its_end() -> None:
    events = a_whole_session()
    assert names(events) == LOGIN + HANG_UP
    assert len({event["attempt"] for event in events}) == 1, "one number goes through all"
    assert {event["peer"] for event in events[1:]} == {"198.51.100.1:40001"}
    by_name = {event["event"]: event for event in events}
    accepted, opened = by_name["login-accepted"], by_name["session-opened"]
    assert accepted["user"] == opened["user"] == "u1@sales.example.com"
    assert (accepted["department"], accepted["method"]) == ("sales", "MS-CHAPv2")
    assert accepted["address"] == opened["address"]
    assert accepted["session"] == opened["session"] == by_name["session-ended"]["session"]
    ended = by_name["session-ended"]
    assert (ended["octets_in"], ended["octets_out"]) == (32, 32)
    assert isinstance(ended["duration"], float)
    assert 1 < ended["duration"] < 5
    assert by_name["sa-established"]["nat"] is True


def test_refusals_say_why_and_what_to_do() -> None:
    refused = [event for event in refusals() if "why" in event and "mend" in event]
    whys = {event["why"]: event["event"] for event in refused}
    assert whys["wrong password"] == "login-refused"
    assert any(str(why).startswith("no address: all 1 addresses") for why in whys)
    assert any("the pre-shared key differs" in str(why) for why in whys)
    assert {event["windows"] for event in refused} >= {691, 789, 649}


def test_events_have_what_the_document_says_and_no_secret() -> None:
    events = a_whole_session() + refusals()
    assert {str(event["event"]) for event in events} == {*DOCUMENTED} - SERVER - {"noted"}
    for event in events:
        keys = set(event) - COMMON
        assert keys == DOCUMENTED[str(event["event"])], event
    text = json.dumps(events)
    assert PASSWORD not in text
    assert PSK.decode() not in text
    assert set(DOCUMENTED) == {happening.value for happening in Happening}
