"""The numbers in docs/limits.md are those of the code."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from aaa import leases, lockout, totp
from aaa.radius import client as radius
from aaa.radius import dynamic
from aaa.radius import eap as radius_eap
from ipsec import (
    certificates,
    dpd,
    exchange,
    foreign,
    fragmentation,
    isakmp_sa,
    main_mode,
    main_modes,
    message,
    peers,
    policy,
    trust,
)
from ipsec.config import IkeConfig
from l2gate import (
    accounting,
    attempts,
    batch,
    capture,
    control,
    event_log,
    fleet,
    gateway,
    keeper,
    linelimit,
    operations,
    past,
    reloading,
    stored_reports,
    switchboard,
)
from l2gate import peers as gate_peers
from l2gate.configuration import load, values
from l2gate.settings import ike_config, link_config, lns_config
from l2gate.state import worker
from l2tp.config import L2tpConfig
from ppp import eap, eap_relay, eap_tls

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "limits.md").read_text()
ROWS = dict(re.findall(r"^\| ([^|]+) \| [^|\d]*(\d+)[^|]* \|", TEXT.split("## Tables")[1], re.M))

IKE = {field.name: field.default for field in fields(IkeConfig)}
L2TP = {field.name: field.default for field in fields(L2tpConfig)}
CODE = {
    "main modes of strangers, one address": IKE["half_open_per_host"],
    "time of such a main mode": IKE["half_open_lifetime"],
    "aggressive modes begun by one address": main_modes.KEY_AGREEMENTS_PER_HOST,
    "aggressive modes begun by all addresses": main_modes.KEY_AGREEMENTS,
    "refusals of aggressive mode and IKEv2, one address": foreign.PER_HOST,
    "refusals of aggressive mode and IKEv2, all addresses": foreign.IN_ALL,
    "wrong proofs in one main mode": main_mode.MAX_FAILURES,
    "a first message of main mode": main_modes.MAX_FIRST_MESSAGE,
    "messages in fragments, all": fragmentation.MAX_REASSEMBLIES,
    "fragments of a message": fragmentation.MAX_FRAGMENTS,
    "a message in fragments": fragmentation.MAX_MESSAGE,
    "time for all fragments of a message": fragmentation.REASSEMBLY_TIME,
    "repeated answers to one message": exchange.MAX_REPEATED_ANSWERS,
    "certificates in a message": certificates.MAX_CERTIFICATES,
    "certificates from a client's to that of its authority": trust.MAX_PATH,
    "payloads in a message": message.MAX_PAYLOADS,
    "ISAKMP SAs of a peer": peers.MAX_ISAKMP_SAS,
    "pairs of ESP SAs of a peer": peers.MAX_PAIRS,
    "quick modes at one time in an ISAKMP SA": isakmp_sa.MAX_QUICK_MODES,
    "message ids remembered in an ISAKMP SA": isakmp_sa.MAX_USED_IDS,
    "log lines about failed negotiations of one address": linelimit.PER_HOST,
    "log lines about failed negotiations of all addresses": linelimit.IN_ALL,
    "time that a peer has to use up or replace an SA after its end": peers.GRACE,
    "questions to a silent peer before it counts as dead": dpd.TRIES,
    "time between them": dpd.RETRY,
    "SAs of a peer that are let in on after its Delete": gate_peers.MAX_DRAINING,
    "time for which they are let in": gateway.DRAINING,
    "old peers that a new one is asked for, whether it is one of them": peers.MAX_QUESTIONS,
    "tunnels of one client and UDP port": L2TP["max_tunnels_per_flow"],
    "tunnels that are not established yet": L2TP["max_half_open"],
    "sessions of a tunnel": L2TP["max_sessions_per_tunnel"],
    "control messages that wait for a peer": L2TP["send_queue"],
    "control messages that came too early": L2TP["receive_window"],
    "time of a call without an open network": switchboard.OPENING,
    "requests in one login by EAP": eap.MAX_ROUNDS,
    "a TLS message in one login by EAP": eap_tls.MAX_MESSAGE,
    "an EAP message of a client that passes through to a RADIUS server": eap_relay.MAX_RESPONSE,
    "time of one login by EAP that passes through": radius_eap.MAX_TIME,
    "time that a RADIUS server may have an EAP request wait before it is repeated": (
        radius_eap.MAX_INTERVAL
    ),
    "addresses remembered for their last users, a pool": leases.REMEMBERED,
    "known origins of datagrams, a socket": batch._KNOWN_PATHS,
    "records of attempts of clients that are gone": attempts.MAX_ENDED,
    "records of main modes of strangers, all": attempts.MAX_STRANGERS,
    "records of main modes of strangers, one address": attempts.MAX_STRANGERS_PER_HOST,
    "attempts in one answer of `l2gate attempts`": operations.MOST_ATTEMPTS,
    "different offers of clients that have the pre-shared key": fleet.MAX_OFFERS,
    "different offers of strangers": fleet.MAX_STRANGE_OFFERS,
    "transforms of an offer that are reported": policy.MAX_OFFERS,
    "users and addresses whose wrong passwords are counted": lockout.MOST,
    "time that an answer takes after many wrong passwords": lockout.DELAY,
    "codes tried for one login": 2 * totp.TOLERANCE + 1,
    "steps that an argon2 hash may take, KiB times passes": values.MOST_ARGON2_WORK,
    "requests under way to a RADIUS server": radius.CHANNELS * radius.IDENTIFIERS,
    "requests that wait in line for RADIUS servers": radius.MAX_WAITING,
    "RADIUS reports that wait for a server in memory": accounting.MAX_REPORTS,
    "RADIUS reports that wait for a server in the database of `state`, each gateway": (
        stored_reports.MAX_STORED
    ),
    "RADIUS reports under way at one time": accounting.WINDOW,
    "time until reports are sent again that no server has taken": accounting.RETRY,
    "answers to Disconnect- and CoA-Requests that are kept for repetitions, each client": (
        dynamic.REMEMBERED
    ),
    "names of each kind in an answer of `l2gate reload`": reloading.MOST_NAMES,
    "time that a login waits for the database of `state`": keeper.PATIENCE,
    "time between two notes of what sessions have carried": keeper.UPDATE,
    "time until reports are looked for in a database that was away": keeper.PAUSE,
    "changes that wait for a database that is away": worker.MAX_WAITING,
    "sessions in an answer of `l2gate history`, unless asked otherwise": past.SHOWN,
    "sessions in an answer of `l2gate history`, at most": past.MOST_SHOWN,
    "clients of the control socket": control.MAX_CLIENTS,
    "events that wait to be written to `server.event_log`": event_log.MAX_WAITING,
    "captures at one time": capture.MAX_CAPTURES,
    "time of a capture, unless asked otherwise": capture.SECONDS,
    "time of a capture, at most": capture.MAX_SECONDS,
    "packets of a capture, unless asked otherwise": capture.PACKETS,
    "packets of a capture, at most": capture.MAX_PACKETS,
    "octets that wait for `l2gate capture` to take them": control.MAX_WAITING,
}


@pytest.mark.parametrize("row", CODE)
def test_constant(row: str) -> None:
    assert int(ROWS[row]) == CODE[row]


def test_configured_limits(tmp_path: Path) -> None:
    path = tmp_path / "l2gate.yaml"
    path.write_text(
        "ipsec: {psk: a long and random pre-shared key}\n"
        "departments: {default: {pool: 172.16.9.0/24, gateway: 172.16.9.1}}\n"
    )
    path.chmod(0o600)
    configuration = load(path).configuration
    ike, lns = ike_config(configuration), lns_config(configuration)
    assert int(ROWS["main modes of strangers, all"]) == ike.half_open_limit
    assert int(ROWS["peers"]) == ike.peer_limit
    assert int(ROWS["tunnels"]) == lns.max_tunnels
    assert int(ROWS["sessions"]) == lns.max_sessions
    attempts = link_config(configuration).authentication_attempts
    assert int(ROWS["passwords that a client may try in one call"]) == attempts


def test_every_row_is_checked() -> None:
    configured = {"main modes of strangers, all", "peers", "tunnels", "sessions"}
    configured |= {"passwords that a client may try in one call"}
    assert set(ROWS) == set(CODE) | configured
