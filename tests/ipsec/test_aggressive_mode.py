"""Aggressive Mode: what each message holds, who gets one, and what the odd and the hostile get."""

from random import Random

import pytest

from ipsec.aggressive_mode import AggressiveMode
from ipsec.config import IKE_OFFERS, IkeConfig, PresharedKey
from ipsec.constants import (
    EncryptionAlgorithm,
    ExchangeType,
    GroupDescription,
    HashAlgorithm,
    IdType,
    NotifyType,
    PayloadType,
)
from ipsec.endpoint import Ike
from ipsec.errors import Drop
from ipsec.events import NegotiationFailed, PeerAuthenticated, PeerClosed, Why
from ipsec.fragmentation import split
from ipsec.groups import KeyAgreement
from ipsec.main_mode import State
from ipsec.main_modes import KEY_AGREEMENTS, KEY_AGREEMENTS_PER_HOST, KEY_AGREEMENTS_PERIOD
from ipsec.message import Payload, Payloads, build_message, parse_message
from ipsec.path import Address
from ipsec.payloads import Identification, Notification
from tests.support import clients
from tests.support.caller import Caller, changed, clear, notified, rebuilt
from tests.support.ike import CLIENT, PSK, SERVER, Pair, config
from tests.support.simulation import Link, Nat

BRANCH = PresharedKey(b"the key of the branch", "psk of group branch")
GROUP = Identification(IdType.KEY_ID, 0, 0, b"branch")


def on(**settings: object) -> IkeConfig:
    return config(groups={b"branch": BRANCH}, **settings)


def member(
    identity: Identification = GROUP, key: PresharedKey = BRANCH, **settings: object
) -> IkeConfig:
    return config(
        preshared_keys=lambda host: (key,), aggressive=True, identity=identity, **settings
    )


def server(**settings: object) -> Ike:
    return Ike(on(**settings), Random(99).randbytes)


def caller_of(ike: Ike | None = None, settings: IkeConfig | None = None, **place: object) -> Caller:
    return Caller(ike or server(), settings or member(), **place)  # type: ignore[arg-type]


def third_of(caller: Caller) -> bytes:
    """Go on until message 3 is to be sent, and return it."""
    (second,) = caller.send(caller.first())
    return caller.next(second)


def in_clear(caller: Caller, *, path: object = None) -> bytes:
    """Return message 3 as racoon has it: not encrypted, the proof first."""
    mode = caller.mode
    assert isinstance(mode, AggressiveMode)
    if path is not None:
        mode.path = path  # type: ignore[assignment]
    payloads = [mode._identity_payloads()[1], *mode._nat_d_payloads()]
    return build_message(mode.cookies, ExchangeType.AGGRESSIVE, Payloads.of(payloads))


# The three messages.


def test_message_2_is_what_racoon_reads() -> None:
    """SA first, and the vendor id of NAT traversal before NAT-D."""
    caller = caller_of()
    (second,) = caller.send(caller.first())
    header, _ = parse_message(second)
    assert (header.exchange, header.flags, header.message_id) == (4, 0, 0)
    assert [item.type for item in clear(second).items] == [
        PayloadType.SA,
        PayloadType.KE,
        PayloadType.NONCE,
        PayloadType.ID,
        *[PayloadType.VENDOR] * 3,
        *[PayloadType.NAT_D] * 2,
        PayloadType.HASH,
    ]


def test_the_peer_is_known_by_its_group_and_key() -> None:
    caller = caller_of()
    assert caller.send(third_of(caller)) == []
    (event,) = caller.events()
    assert isinstance(event, PeerAuthenticated)
    assert (event.identity, event.key) == (GROUP, BRANCH.name)
    about = event.negotiation
    assert about is not None
    assert about.heard
    assert about.chosen == about.offered[0]
    assert caller.ike.snapshot().half_open == 0


@pytest.mark.parametrize("kind", [IdType.FQDN, IdType.USER_FQDN, IdType.KEY_ID])
def test_a_group_is_named_in_any_of_three_ways(kind: IdType) -> None:
    caller = caller_of(settings=member(Identification(kind, 17, 500, b"branch")))
    assert caller.send(third_of(caller)) == []
    assert [type(event) for event in caller.events()] == [PeerAuthenticated]


def test_message_3_may_be_in_clear() -> None:
    caller = caller_of()
    third_of(caller)
    assert caller.send(in_clear(caller)) == []
    (event,) = caller.events()
    assert isinstance(event, PeerAuthenticated)
    assert event.algorithms.endswith("no NAT")


@pytest.mark.parametrize("floated", [True, False], ids=["ports after", "ports before"])
@pytest.mark.parametrize("forced", [True, False], ids=["forced", "free"])
def test_hashes_of_either_ports_in_message_3(floated: bool, forced: bool) -> None:
    """The move to 4500 alone is no NAT, whichever ports the client hashes."""
    caller = caller_of(server(force_encapsulation=forced))
    third_of(caller)
    before = caller.mode.path._replace(
        local=caller.mode.path.local._replace(port=500),
        peer=caller.mode.path.peer._replace(port=500),
    )
    after = before._replace(
        local=before.local._replace(port=4500), peer=before.peer._replace(port=4500)
    )
    third = in_clear(caller, path=after if floated else before)
    caller.path = caller.path._replace(local=Address(SERVER, 4500), peer=Address(CLIENT, 4500))
    assert caller.send(third) == []
    (event,) = caller.events()
    assert isinstance(event, PeerAuthenticated)
    assert event.algorithms.endswith("NAT: peer" if forced else "no NAT")


@pytest.mark.parametrize(
    ("nat", "settings"),
    [(None, {}), (Nat("198.51.100.1"), {}), (None, {"force_encapsulation": True})],
    ids=["direct", "behind NAT", "forced"],
)
def test_both_roles_agree_and_talk(nat: Nat | None, settings: dict[str, bool]) -> None:
    pair = Pair(member(), on(**settings), nat)
    pair.establish(10.0)
    pair.exchange()
    encapsulated = nat is not None or bool(settings)
    assert pair.server.path is not None
    assert (pair.server.path.local.port == 4500) is encapsulated
    pair.client.ike.rekey_ike(1, pair.simulation.now)
    pair.simulation.run(5.0, lambda: False)
    assert len(pair.server.ike.snapshot().peers) == 1
    pair.exchange()


def test_messages_that_get_lost_are_asked_for_again() -> None:
    """Message 3 has no answer: that it is lost shows when Quick Mode begins."""
    for seed in range(12):
        link = Link(delay=0.02, jitter=0.05, loss=0.25, duplication=0.1)
        pair = Pair(member(), on(), Nat("198.51.100.1") if seed % 2 else None, link, seed)
        pair.establish(120.0)


def test_a_renewal_does_not_wait_for_quick_mode_when_message_3_is_lost() -> None:
    pair = Pair(member(), on())
    pair.establish()
    came: list[bytes] = []

    def lose_second(data: bytes) -> bytes:
        came.append(data)
        return b"" if len(came) == 2 else data

    pair.server.corrupt = lose_second
    pair.client.ike.rekey_ike(1, pair.simulation.now)
    pair.simulation.run(20.0)
    assert [data[18] for data in came[:3]] == [ExchangeType.AGGRESSIVE] * 3
    assert came[1] == came[2]
    assert pair.server.ike.snapshot().half_open == 0
    (server,) = pair.server.ike._peers.by_id.values()
    (client,) = pair.client.ike._peers.by_id.values()
    assert server.isakmp_sas[-1].cookies == client.isakmp_sas[-1].cookies
    assert not pair.server.ike._context.requests, "nothing is sent any more"


def test_a_stranger_is_not_sent_message_2_again_unasked() -> None:
    caller = caller_of()
    assert len(caller.send(caller.first())) == 1
    assert not caller.ike._context.requests


def test_a_renewal_without_message_3_ends_in_silence() -> None:
    caller = caller_of()
    caller.send(third_of(caller))
    again = caller_of(caller.ike, seed=2)
    again.send(again.first())
    sent = 0
    for _ in range(60):
        again.now += 1
        again.ike.handle_timeout(again.now)
        sent += len([data for data in again.answers() if data[18] == ExchangeType.AGGRESSIVE])
    assert sent == 4
    assert not again.ike._context.requests
    assert again.ike.snapshot().half_open == 0


def test_initial_contact_in_message_3_closes_the_old_peer() -> None:
    ike = server()
    first = caller_of(ike)
    first.send(third_of(first))
    first.events()
    again = caller_of(ike, seed=2)
    again.mode.start(initial_contact=True)
    first_message = again.mode.start(initial_contact=True)
    (second,) = again.send(first_message)
    again.send(again.next(second))
    closed, authenticated = again.events()
    assert isinstance(closed, PeerClosed)
    assert closed.why is Why.INITIAL_CONTACT
    assert isinstance(authenticated, PeerAuthenticated)


# Who gets message 2.


def refused(caller: Caller) -> NegotiationFailed:
    """Send message 1, see that it is refused at no cost, and return what is told."""
    first = caller.first()
    (answer,) = caller.send(first)
    assert notified(answer) == NotifyType.UNSUPPORTED_EXCHANGE_TYPE
    assert len(answer) < len(first)
    assert caller.ike.snapshot().half_open == 0
    event = caller.events()[-1]
    assert isinstance(event, NegotiationFailed)
    assert event.stage == "aggressive mode"
    return event


def test_it_is_off_without_groups() -> None:
    event = refused(caller_of(Ike(config(), Random(1).randbytes)))
    assert event.why == "the client asks for it, and it is off"
    assert event.hint.startswith("leave the group name (IPsec identifier) empty on the client")


def test_who_names_no_group_is_refused_as_if_it_were_off(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = member(Identification(IdType.KEY_ID, 0, 0, b"sales"))
    off, unknown = (
        caller_of(Ike(settings, Random(1).randbytes), stranger) for settings in (config(), on())
    )
    first = off.first()
    monkeypatch.setattr("ipsec.groups.KeyAgreement.generate", None)
    assert off.send(first) == unknown.send(first)
    (event,) = unknown.events()
    assert isinstance(event, NegotiationFailed)
    assert event.why == "no group is called 'sales', as the client says"


@pytest.mark.parametrize("name", [b"Branch", b"branch ", b"", b"branch\0", b"\xff" * 3000])
def test_the_name_is_compared_octet_by_octet(name: bytes) -> None:
    event = refused(caller_of(settings=member(Identification(IdType.KEY_ID, 0, 0, name))))
    assert event.why.isprintable()
    assert len(event.why) < 400


def test_an_address_is_no_group() -> None:
    ike = Ike(config(groups={b"abcd": BRANCH}), Random(1).randbytes)
    refused(caller_of(ike, member(Identification(IdType.IPV4_ADDR, 0, 0, b"abcd"))))


def test_the_common_key_is_never_good_for_a_group() -> None:
    caller = caller_of(settings=member(key=PresharedKey(PSK)))
    (second,) = caller.send(caller.first())
    with pytest.raises(Exception, match="the pre-shared key differs"):
        caller.next(second)
    assert caller.mode.state is State.SA_SENT


def test_the_key_of_a_group_is_no_key_for_main_mode() -> None:
    caller = Caller(server(), config(preshared_keys=lambda host: (BRANCH,)))
    (answer,) = caller.send(caller.up_to(5))
    assert notified(answer) == NotifyType.PAYLOAD_MALFORMED


# What a stranger may cost.


def test_one_host_makes_us_compute_so_often_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    ike = server()
    sent = [
        caller.send(caller.first())
        for caller in (caller_of(ike, port=600 + n, seed=n) for n in range(30))
    ]
    assert len([answers for answers in sent if answers]) == KEY_AGREEMENTS_PER_HOST
    assert ike.snapshot().dropped == {Drop.NO_ROOM: 30 - KEY_AGREEMENTS_PER_HOST}
    neighbour = caller_of(ike, host="198.51.100.8", seed=50)
    assert neighbour.send(neighbour.first())
    late = caller_of(ike, port=700, seed=51)
    late.now += KEY_AGREEMENTS_PERIOD
    assert late.send(late.first())


def test_no_mistake_makes_us_compute_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused message 1 may come again, with the same cookie, and be as dear as the first."""
    caller, computed = caller_of(), []
    generate = KeyAgreement.generate

    def counted(*arguments: object) -> KeyAgreement:
        computed.append(arguments)
        return generate(*arguments)  # type: ignore[arg-type]

    first = caller.first()
    monkeypatch.setattr("ipsec.groups.KeyAgreement.generate", counted)
    for number in range(50):
        caller.send(changed(first, PayloadType.KE, bytes([number]) * 64))
    assert len(computed) == KEY_AGREEMENTS_PER_HOST
    assert caller.ike.snapshot().half_open == 0


def test_who_was_refused_may_not_name_another_group() -> None:
    caller = caller_of()
    first = caller.first()
    nothing_known = clients.windows_offer(
        [((EncryptionAlgorithm.DES_CBC, 0), HashAlgorithm.MD5, 1)]
    ).build()
    (answer,) = caller.send(changed(first, PayloadType.SA, nothing_known))
    assert notified(answer) == NotifyType.NO_PROPOSAL_CHOSEN
    (event,) = caller.events()
    assert isinstance(event, NegotiationFailed)
    assert event.stage == "aggressive mode"
    assert event.why.startswith("nothing offered is among the proposals 'default'; offered: DES")
    assert event.negotiation is not None
    assert len(event.negotiation.offered) == 1
    stranger = GROUP.build().replace(b"branch", b"sales")
    (answer,) = caller.send(changed(first, PayloadType.ID, stranger))
    assert notified(answer) == NotifyType.UNSUPPORTED_EXCHANGE_TYPE
    (second,) = caller.send(first)
    assert clear(second).first_type == PayloadType.SA


def test_all_hosts_together_do_not_either() -> None:
    ike = server()
    message = caller_of(ike).first()
    for n in range(KEY_AGREEMENTS + 20):
        caller = caller_of(ike, host=f"10.0.{n // 250}.{n % 250}", seed=n)
        caller.send(n.to_bytes(8, "big")[:7] + b"\1" + message[8:])
    assert ike.snapshot().half_open == KEY_AGREEMENTS
    Caller(ike, host="203.0.113.9", seed=5).establish()


def test_who_has_not_sent_message_3_gives_way() -> None:
    ike = server(half_open_limit=3, half_open_per_host=2)
    callers = [caller_of(ike, host=f"10.0.0.{n}", seed=n) for n in range(6)]
    for caller in callers:
        assert caller.send(caller.first())
    assert ike.snapshot().half_open == 3


def test_a_repeated_message_1_gets_the_same_answer_so_often() -> None:
    caller = caller_of()
    first = caller.first()
    answers = [caller.send(first) for _ in range(30)]
    assert answers[:17] == [answers[0]] * 17
    assert answers[17:] == [[]] * 13


def test_message_2_again_only_to_where_it_went() -> None:
    caller = caller_of()
    third_of(caller)
    cookies = caller.mode.cookies
    quick = build_message(cookies, ExchangeType.QUICK_MODE, Payloads.of([]), 7)
    (second,) = caller.send(quick)
    assert parse_message(second)[0].exchange == ExchangeType.AGGRESSIVE
    other = caller_of(caller.ike, host="198.51.100.99")
    assert other.send(quick) == []
    answers = [caller.send(quick) for _ in range(30)]
    assert sum(map(len, answers)) == 15


# What is wrong with a message.


def test_three_wrong_proofs_end_it() -> None:
    caller = caller_of()
    third = third_of(caller)
    for guess in range(3):
        (answer,) = caller.send(third[:28] + bytes([guess]) * 16 + third[44:])
        assert notified(answer) == NotifyType.INVALID_HASH_INFORMATION
    assert caller.ike.snapshot().half_open == 0
    assert caller.send(third) == []
    events = caller.events()
    assert {type(event) for event in events} == {NegotiationFailed}
    assert isinstance(events[0], NegotiationFailed)
    assert events[0].why == "the pre-shared key differs: the proof of identity is wrong"


def test_a_wrong_proof_does_not_end_it() -> None:
    caller = caller_of()
    third = third_of(caller)
    wrong = changed(in_clear(caller), PayloadType.HASH, bytes(32))
    assert len(caller.send(wrong)) == 1
    assert caller.send(third) == []
    assert [type(event) for event in caller.events()] == [NegotiationFailed, PeerAuthenticated]


def test_who_proves_without_encryption_or_with_is_asked_the_same() -> None:
    """HASH_R sent back is no HASH_I."""
    caller = caller_of()
    (second,) = caller.send(caller.first())
    mirrored = clear(second).the(PayloadType.HASH)
    caller.next(second)
    (answer,) = caller.send(changed(in_clear(caller), PayloadType.HASH, mirrored))
    assert notified(answer) == NotifyType.INVALID_HASH_INFORMATION


def test_the_exchange_cannot_be_changed_on_the_way() -> None:
    caller = caller_of()
    third = third_of(caller)
    as_main_mode = third[:18] + bytes([ExchangeType.IDENTITY_PROTECTION]) + third[19:]
    assert caller.send(as_main_mode) == []
    assert caller.ike.snapshot().dropped == {Drop.UNEXPECTED: 1}
    main = Caller(caller.ike, seed=3, port=501)
    fifth = main.up_to(5)
    assert main.send(fifth[:18] + bytes([ExchangeType.AGGRESSIVE]) + fifth[19:]) == []
    assert caller.send(third) == []
    assert [type(event) for event in caller.events()] == [PeerAuthenticated]


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        (PayloadType.KE, bytes(64), NotifyType.INVALID_KEY_INFORMATION),
        (PayloadType.KE, bytes(256), NotifyType.INVALID_KEY_INFORMATION),
        (PayloadType.NONCE, bytes(7), NotifyType.PAYLOAD_MALFORMED),
        (PayloadType.NONCE, bytes(257), NotifyType.PAYLOAD_MALFORMED),
        (PayloadType.ID, b"\x0b\x11\x06\xa5branch", NotifyType.INVALID_ID_INFORMATION),
    ],
)
def test_message_1_with_a_mistake(kind: PayloadType, body: bytes, told: NotifyType) -> None:
    caller = caller_of()
    first = changed(caller.first(), kind, body)
    (answer,) = caller.send(first)
    assert notified(answer) == told
    assert len(answer) <= len(first)
    assert caller.send(caller.first())


@pytest.mark.parametrize(
    "kind", [PayloadType.SA, PayloadType.KE, PayloadType.NONCE, PayloadType.ID]
)
def test_message_1_that_lacks_something_or_has_it_twice(kind: PayloadType) -> None:
    caller = caller_of()
    first = caller.first()
    items = clear(first).items
    assert caller.send(rebuilt(first, [item for item in items if item.type != kind])) == []
    twice = [item for item in items if item.type == kind]
    assert caller.send(rebuilt(first, [*items, *twice])) == []
    assert caller.ike.snapshot().half_open == 0


def test_unknown_payloads_are_passed_over() -> None:
    caller = caller_of()
    first = caller.first()
    odd = [Payload(PayloadType(77), b"what"), Payload(PayloadType.VENDOR, bytes(300))]
    (second,) = caller.send(rebuilt(first, [*clear(first).items, *odd]))
    assert clear(second).first_type == PayloadType.SA


def test_no_octets_make_it_stumble() -> None:
    for number in (1, 3):
        for position in range(0, 700, 3):
            caller = caller_of(host=f"10.{number}.{position // 250}.{position % 250}")
            message = bytearray(caller.first() if number == 1 else third_of(caller))
            if position >= len(message):
                break
            message[position] ^= 0xFF
            caller.send(bytes(message))
            shorter = bytes(message[:position])
            caller.ike.receive(shorter, caller.path, caller.now)
            proof_is_changed = number == 1 or position < 28 + 36
            assert not (proof_is_changed and caller.ike.snapshot().peers)


def test_message_3_may_come_in_fragments_and_message_2_never_does() -> None:
    """Of an initiator that learns only from message 2 that we take them, and wants none before."""
    modp = [suite for suite in IKE_OFFERS if suite.group is GroupDescription.MODP_2048]
    caller = caller_of(server(fragment_limit=200), member(ike_offers=tuple(modp)))
    (second,) = caller.send(caller.first())
    assert len(second) > 200
    assert clear(second).first_type == PayloadType.SA
    parts = split(caller.next(second), 100)
    assert len(parts) > 1
    for part in parts:
        assert caller.send(part) == []
    assert [type(event) for event in caller.events()] == [PeerAuthenticated]


def test_a_forged_message_2_does_not_end_a_call() -> None:
    caller = caller_of()
    (second,) = caller.send(caller.first())
    forged = changed(second, PayloadType.HASH, bytes(32))
    forged = forged[:8] + bytes(range(8)) + forged[16:]
    with pytest.raises(Exception, match="the pre-shared key differs"):
        caller.take(forged)
    assert caller.send(caller.next(second)) == []
    assert [type(event) for event in caller.events()] == [PeerAuthenticated]


def test_what_the_client_says_in_clear_explains_why_it_does_not_go_on() -> None:
    caller = caller_of(settings=member(key=PresharedKey(b"another")))
    (second,) = caller.send(caller.first())
    cookies = parse_message(second)[0].cookies
    body = Notification(NotifyType.INVALID_HASH_INFORMATION).build()
    payloads = Payloads.of([Payload(PayloadType.NOTIFY, body)])
    assert caller.send(build_message(cookies, ExchangeType.INFORMATIONAL, payloads, 9)) == []
    caller.ike.handle_timeout(caller.now + 30.0)
    (event,) = caller.events()
    assert isinstance(event, NegotiationFailed)
    assert event.why == "message 3 never came; somebody answered INVALID_HASH_INFORMATION"
    assert event.hint.startswith("is the key of this group on the client?")
    assert event.negotiation is not None
    assert not event.negotiation.heard, "an address that may be a fake is not worth a line"


# Other keys.


def test_other_keys_are_good_from_the_next_handshake_on() -> None:
    ike = server()
    old, half = caller_of(ike, seed=1), caller_of(ike, host="198.51.100.8", seed=2)
    third = third_of(half)
    old.send(third_of(old))
    ike.replace_credentials(config(preshared_keys=lambda host: (PresharedKey(b"new", "new"),)))
    assert half.send(third) == [], "what has begun goes on"
    assert len(ike.snapshot().peers) == 2
    refused(caller_of(ike, port=502, seed=3))
    settings = config(preshared_keys=lambda host: (PresharedKey(b"new"),))
    Caller(ike, settings, port=503, seed=4).establish()


def test_nothing_is_printed_of_keys() -> None:
    assert "key of the branch" not in repr(on()) + repr(BRANCH)
