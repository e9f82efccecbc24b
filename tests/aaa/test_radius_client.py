"""Requests to RADIUS servers that answer, that do not, and that should not be believed."""

from collections.abc import Sequence
from random import Random

import pytest
from pyrad import packet as pyrad
from pyrad.dictionary import Dictionary

from aaa.radius.client import (
    CHANNELS,
    IDENTIFIERS,
    MAX_WAITING,
    Answered,
    Client,
    ClientConfig,
    Datagram,
    Drop,
    Event,
    Server,
    Unanswered,
)
from aaa.radius.constants import AttributeType, Code
from aaa.radius.packet import Attribute, Attributes, Packet, proves, response

FIRST = Server("192.0.2.1", 1812, b"first secret")
SECOND = Server("192.0.2.2", 1812, b"second secret")
USER = [Attribute.text(AttributeType.USER_NAME, "nemo")]
CONFIG = ClientConfig((FIRST, SECOND), retransmission=(2.0, 3.0), dead_time=60.0)


def client(config: ClientConfig = CONFIG) -> Client:
    return Client(config, Random(1).randbytes)


def answer(
    datagram: Datagram, code: Code = Code.ACCESS_ACCEPT, attributes: Sequence[Attribute] = ()
) -> bytes:
    """What the server sends that got the datagram."""
    asked = Packet.parse(datagram.data)
    secret = datagram.server.secret
    return response(code, asked.identifier, asked.authenticator, attributes, secret)


def events(core: Client) -> list[Event]:
    return list(iter(core.next_event, None))


def deliver(core: Client, datagram: Datagram, data: bytes, now: float = 0.1) -> None:
    core.receive(data, datagram.server, datagram.channel, now)


def test_a_request_and_its_answer() -> None:
    core = client()
    core.request("login", Code.ACCESS_REQUEST, USER, 0.0)
    (datagram,) = core.datagrams_to_send()
    assert datagram.server is FIRST
    asked = Packet.parse(datagram.data)
    assert asked.code == Code.ACCESS_REQUEST
    assert proves(asked, asked.authenticator, FIRST.secret)
    granted = [Attribute.number(AttributeType.SESSION_TIMEOUT, 60)]
    deliver(core, datagram, answer(datagram, attributes=granted))
    (event,) = events(core)
    assert isinstance(event, Answered)
    assert (event.key, event.server, event.code) == ("login", FIRST, Code.ACCESS_ACCEPT)
    assert event.attributes.number(AttributeType.SESSION_TIMEOUT) == 60
    assert core.next_timeout() is None
    deliver(core, datagram, answer(datagram))
    assert events(core) == []
    assert core.counters == {Drop.UNEXPECTED: 1}


def test_a_request_is_repeated_and_then_another_server_is_asked() -> None:
    core = client()
    core.request("login", Code.ACCESS_REQUEST, USER, 0.0)
    (first,) = core.datagrams_to_send()
    assert core.next_timeout() == 2.0
    core.handle_timeout(2.0)
    assert core.datagrams_to_send() == [first]
    core.handle_timeout(5.0)
    (second,) = core.datagrams_to_send()
    assert second.server is SECOND
    deliver(core, second, answer(second), 5.1)
    (event,) = events(core)
    assert isinstance(event, Answered)
    assert event.server is SECOND

    core.request("next", Code.ACCESS_REQUEST, USER, 6.0)
    assert core.datagrams_to_send()[0].server is SECOND
    core.request("later", Code.ACCESS_REQUEST, USER, 65.0)
    assert core.datagrams_to_send()[0].server is FIRST


def test_a_late_answer_of_the_first_server_is_no_answer_any_more() -> None:
    core = client()
    core.request("login", Code.ACCESS_REQUEST, USER, 0.0)
    (first,) = core.datagrams_to_send()
    core.handle_timeout(2.0)
    core.handle_timeout(5.0)
    deliver(core, first, answer(first), 5.1)
    assert events(core) == []


def test_nobody_answers() -> None:
    core = client()
    core.request("login", Code.ACCESS_REQUEST, USER, 0.0)
    while (when := core.next_timeout()) is not None:
        core.handle_timeout(when)
    (event,) = events(core)
    assert isinstance(event, Unanswered)
    assert event.key == "login"
    assert "192.0.2.1:1812, 192.0.2.2:1812" in event.why
    assert len(core.datagrams_to_send()) == 4
    core.request("again", Code.ACCESS_REQUEST, USER, 20.0)
    assert core.datagrams_to_send()[0].server is FIRST, "both are dead: in order all the same"


def test_a_wrong_secret_is_named_as_the_likely_cause() -> None:
    core = client(ClientConfig((FIRST,), retransmission=(2.0,)))
    core.request("login", Code.ACCESS_REQUEST, USER, 0.0)
    (datagram,) = core.datagrams_to_send()
    asked = Packet.parse(datagram.data)
    wrong = response(Code.ACCESS_ACCEPT, asked.identifier, asked.authenticator, [], b"wrong")
    deliver(core, datagram, wrong)
    assert events(core) == []
    core.handle_timeout(2.0)
    (event,) = events(core)
    assert isinstance(event, Unanswered)
    assert Drop.NOT_AUTHENTIC.value in event.why


@pytest.mark.parametrize("demanded", [True, False])
def test_an_answer_without_message_authenticator(demanded: bool) -> None:
    server = Server("192.0.2.1", 1812, b"secret", require_message_authenticator=demanded)
    core = client(ClientConfig((server,), retransmission=(2.0,)))
    core.request("login", Code.ACCESS_REQUEST, USER, 0.0)
    (datagram,) = core.datagrams_to_send()
    deliver(core, datagram, old_answer(datagram))
    assert len(events(core)) == (0 if demanded else 1)
    assert core.counters[Drop.NO_MESSAGE_AUTHENTICATOR] == demanded


def old_answer(datagram: Datagram) -> bytes:
    """An answer as it was before CVE-2024-3596: pyrad makes it."""
    secret = datagram.server.secret
    seen = pyrad.AuthPacket(packet=datagram.data, secret=secret, dict=Dictionary())
    reply = pyrad.Packet(
        code=pyrad.AccessAccept, id=seen.id, secret=secret, authenticator=seen.authenticator
    )
    octets: bytes = reply.ReplyPacket()
    return octets


def test_what_is_dropped() -> None:
    core = client()
    core.request("login", Code.ACCESS_REQUEST, USER, 0.0)
    (datagram,) = core.datagrams_to_send()
    deliver(core, datagram, b"garbage")
    deliver(core, datagram, answer(datagram, Code.ACCOUNTING_RESPONSE))
    core.receive(answer(datagram), SECOND, datagram.channel, 0.1)
    core.receive(answer(datagram), FIRST, datagram.channel + 1, 0.1)
    assert events(core) == []
    assert core.counters == {Drop.MALFORMED: 1, Drop.UNEXPECTED: 3}


def test_accounting_is_signed_anew_for_each_server() -> None:
    core = client()
    core.request("start", Code.ACCOUNTING_REQUEST, USER, 0.0)
    core.handle_timeout(2.0)
    core.handle_timeout(5.0)
    datagram = core.datagrams_to_send()[-1]
    assert datagram.server is SECOND
    deliver(core, datagram, answer(datagram, Code.ACCOUNTING_RESPONSE), 5.1)
    (event,) = events(core)
    assert isinstance(event, Answered)
    assert event.code == Code.ACCOUNTING_RESPONSE


def test_more_requests_than_identifiers_wait_in_line() -> None:
    core = client(ClientConfig((FIRST,)))
    places = CHANNELS * IDENTIFIERS
    for number in range(places + 3):
        core.request(number, Code.ACCESS_REQUEST, USER, 0.0)
    sent = core.datagrams_to_send()
    assert len(sent) == places
    assert len({(d.channel, Packet.parse(d.data).identifier) for d in sent}) == places
    core.cancel(places, 0.0)
    deliver(core, sent[5], answer(sent[5]))
    (late,) = core.datagrams_to_send()
    deliver(core, late, answer(late))
    assert [event.key for event in events(core)] == [5, places + 1]
    (last,) = core.datagrams_to_send()
    deliver(core, last, answer(last))
    assert [event.key for event in events(core)] == [places + 2]


def test_who_waits_in_line_for_a_server_that_dies_goes_to_the_next() -> None:
    core = client()
    places = CHANNELS * IDENTIFIERS
    for number in range(places + 3):
        core.request(number, Code.ACCESS_REQUEST, USER, 0.0)
    core.handle_timeout(2.0)
    core.datagrams_to_send()
    core.handle_timeout(5.0)
    sent = core.datagrams_to_send()
    assert {datagram.server for datagram in sent} == {SECOND}
    assert len(sent) == places
    for datagram in sent:
        deliver(core, datagram, answer(datagram), 5.1)
    last = core.datagrams_to_send()
    assert [datagram.server for datagram in last] == [SECOND] * 3
    for datagram in last:
        deliver(core, datagram, answer(datagram), 5.2)
    assert len(events(core)) == places + 3
    assert core.next_timeout() is None


def test_who_waits_in_line_is_asked_where_there_is_place() -> None:
    core = client()
    core.request("first", Code.ACCESS_REQUEST, USER, 0.0)
    for number in range(CHANNELS * IDENTIFIERS):
        core.request(number, Code.ACCESS_REQUEST, USER, 1.0)
    core.datagrams_to_send()
    core.handle_timeout(2.0)
    core.handle_timeout(5.0)
    sent = core.datagrams_to_send()
    assert [d.server for d in sent].count(SECOND) == 2, "the first, and the one that waited"


def test_a_server_that_ignores_one_request_and_answers_others_is_alive() -> None:
    """Else a peer could turn all logins away from a server, by one that the server ignores."""
    core = client()
    core.request("ignored", Code.ACCESS_REQUEST, USER, 0.0)
    core.datagrams_to_send()
    core.request("answered", Code.ACCESS_REQUEST, USER, 1.0)
    (datagram,) = core.datagrams_to_send()
    deliver(core, datagram, answer(datagram), 1.1)
    core.handle_timeout(2.0)
    core.datagrams_to_send()
    core.handle_timeout(5.0)
    (elsewhere,) = core.datagrams_to_send()
    assert elsewhere.server is SECOND
    assert core.answering()[FIRST]
    core.request("next", Code.ACCESS_REQUEST, USER, 6.0)
    assert core.datagrams_to_send()[0].server is FIRST


def test_the_line_is_bounded() -> None:
    core = client(ClientConfig((FIRST,)))
    for number in range(CHANNELS * IDENTIFIERS + MAX_WAITING):
        core.request(number, Code.ACCESS_REQUEST, USER, 0.0)
    assert events(core) == []
    core.request("one more", Code.ACCESS_REQUEST, USER, 0.0)
    (event,) = events(core)
    assert isinstance(event, Unanswered)
    assert event.key == "one more"


def test_a_request_with_the_same_key_replaces_the_one_before() -> None:
    core = client()
    core.request("login", Code.ACCESS_REQUEST, USER, 0.0)
    (old,) = core.datagrams_to_send()
    core.request("login", Code.ACCESS_REQUEST, USER, 1.0)
    (new,) = core.datagrams_to_send()
    deliver(core, old, answer(old), 1.1)
    assert events(core) == []
    deliver(core, new, answer(new), 1.2)
    assert len(events(core)) == 1


def test_authenticators_are_never_the_same() -> None:
    core = client()
    for number in range(50):
        core.request(number, Code.ACCESS_REQUEST, USER, 0.0)
    sent = core.datagrams_to_send()
    assert len({Packet.parse(datagram.data).authenticator for datagram in sent}) == 50


def test_attributes_of_the_answer_are_those_of_the_packet() -> None:
    core = client()
    core.request("login", Code.ACCESS_REQUEST, USER, 0.0)
    (datagram,) = core.datagrams_to_send()
    deliver(core, datagram, answer(datagram, Code.ACCESS_REJECT, USER))
    (event,) = events(core)
    assert isinstance(event, Answered)
    assert event.code == Code.ACCESS_REJECT
    assert Attributes(event.attributes).text(AttributeType.USER_NAME) == "nemo"
