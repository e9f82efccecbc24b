"""RADIUS servers that misbehave, and orders from outside, against a whole server."""

from dataclasses import replace
from datetime import date
from ipaddress import IPv4Address, IPv4Network

import pytest

from aaa import Directory, Hours, Limits, Policy, Source, Span, User
from aaa.lockout import Lockout
from aaa.radius.access import Nas
from aaa.radius.client import ClientConfig, Datagram, Server
from aaa.radius.constants import (
    MICROSOFT,
    AcctStatusType,
    AttributeType,
    Code,
    ErrorCause,
    MicrosoftType,
)
from aaa.radius.packet import Attribute, Packet, signed_request
from l2gate.accounting import Accounting
from l2gate.configuration.model import RadiusSettings
from l2gate.events import RouteAdded
from ppp.config import Method
from tests.support.client import ClientHost, ClientState
from tests.support.lab import INNER_SERVER, PASSWORD, ping
from tests.support.radius_lab import (
    CLIENT,
    SECRET,
    Answer,
    RadiusLab,
    accepting,
    asking,
    reply,
    settings_for,
)

ACCESS = Server("192.0.2.10", 1812, SECRET)
ACCOUNTING = Server("192.0.2.10", 1813, SECRET)
SETTINGS = RadiusSettings((ACCESS,), (), 9.0, 60.0, "vpn.example.com", 600.0)


def silent(request: Datagram) -> None:
    return None


def with_pap(client: ClientHost) -> None:
    client._link_config = replace(client._link_config, methods=(Method.PAP,))


def lab_with(
    answer: Answer, *order: Source, settings: RadiusSettings = SETTINGS, pap: bool = True
) -> RadiusLab:
    lab = RadiusLab(settings, order or (Source.RADIUS,), answer)
    if pap:
        calls = lab.server.gateway.calls
        calls._links = replace(calls._links, methods=(Method.PAP,))
    return lab


def log_in(lab: RadiusLab, name: str = "bob", password: str = "secret") -> ClientHost:
    return lab.log_in(name, password, prepare=with_pap)


# Who is asked


def test_a_user_in_the_file_is_nobody_else_s_where_the_file_comes_first() -> None:
    lab = lab_with(silent, Source.LOCAL, Source.RADIUS)
    assert log_in(lab, "u1", PASSWORD).state is ClientState.UP
    assert not lab.sent


def test_whom_the_file_does_not_know_radius_is_asked_for() -> None:
    lab = lab_with(accepting(), Source.LOCAL, Source.RADIUS)
    assert log_in(lab).state is ClientState.UP
    assert len(lab.sent) == 1


def test_a_refusal_by_radius_is_not_asked_of_the_file() -> None:
    lab = lab_with(lambda r: reply(r, Code.ACCESS_REJECT), Source.RADIUS, Source.LOCAL)
    assert log_in(lab, "u1", PASSWORD).state is ClientState.FAILED
    assert lab.server.noted("the RADIUS server refused")


def test_an_unknown_domain_is_refused_without_a_question() -> None:
    lab = lab_with(accepting())
    assert log_in(lab, "bob@elsewhere.example.com").state is ClientState.FAILED
    assert not lab.sent


def test_a_user_whom_only_radius_may_know_is_no_stranger_while_it_is_silent() -> None:
    """It would count as a guess, and send the admin to the wrong place."""
    lab = lab_with(silent, Source.LOCAL, Source.RADIUS)
    assert log_in(lab).state is ClientState.FAILED
    assert lab.server.noted("no RADIUS server answers")
    assert not lab.server.noted("no such user")


def test_without_any_server_the_file_is_asked_at_once() -> None:
    nobody = replace(SETTINGS, servers=())
    lab = lab_with(silent, Source.RADIUS, Source.LOCAL, settings=nobody)
    client = log_in(lab, "u1", PASSWORD)
    assert client.state is ClientState.UP
    assert client.opened - client.started < 2


# Answers that are late, forged or wrong


def test_no_answer_is_the_end_of_the_login() -> None:
    lab = lab_with(silent)
    client = log_in(lab)
    assert client.state is ClientState.FAILED
    assert "please try later" in client.why
    (line, *_) = lab.server.noted("no RADIUS server answers")
    assert line.mend.startswith("192.0.2.10:1812: is it up")
    assert line.windows == 646


def test_a_user_who_confirms_a_push_has_a_minute() -> None:
    """The client repeats its request all the time; the server is asked once and again."""
    began: list[float] = []

    def after_50_seconds(request: Datagram) -> bytes | None:
        began[:] = began or [lab.simulation.now]
        late = lab.simulation.now - began[0] >= 50
        return accepting()(request) if late else None

    lab = lab_with(after_50_seconds, settings=replace(SETTINGS, timeout=60.0))
    client = lab.client("bob", password="secret", prepare=with_pap)
    assert lab.run(80, lambda: client.state is not ClientState.CONNECTING)
    assert client.state is ClientState.UP, client.why
    assert len({request.data for request in lab.sent}) == 1


def test_the_wrong_secret_is_named() -> None:
    lab = lab_with(accepting(secret=b"another"))
    assert log_in(lab).state is ClientState.FAILED
    (line, *_) = lab.server.noted("no RADIUS server answers")
    assert "the secret differs" in line.mend


@pytest.mark.parametrize("method", Method)
def test_a_response_is_asked_once_however_often_it_comes(method: Method) -> None:
    """Clients repeat what is not answered each 3 s, while the server thinks."""
    began: list[float] = []

    def after_35_seconds(request: Datagram) -> bytes | None:
        began[:] = began or [lab.simulation.now]
        late = lab.simulation.now - began[0] >= 35
        return reply(request, Code.ACCESS_REJECT) if late else None

    lab = lab_with(after_35_seconds, settings=replace(SETTINGS, timeout=60.0), pap=False)
    calls = lab.server.gateway.calls
    calls._links = replace(calls._links, methods=(method,), authentication_attempts=1)

    def prepare(client: ClientHost) -> None:
        client._link_config = replace(client._link_config, methods=(method,))

    client = lab.log_in("bob", "secret", prepare=prepare)
    assert client.state is ClientState.FAILED
    assert lab.server.noted("the RADIUS server refused")
    assert len({request.data for request in lab.sent}) == 1


def test_an_answer_for_a_call_that_is_gone_does_nothing() -> None:
    lab = lab_with(silent)
    client = lab.client("bob", password="secret", prepare=with_pap)
    assert lab.run(20, lambda: bool(lab.sent))
    client.hang_up(lab.simulation.now)
    assert lab.run(60, lambda: not len(lab.server.gateway.calls))
    gateway, now = lab.server.gateway, lab.simulation.now
    request = lab.sent[0]
    gateway.receive_radius(accepting()(request) or b"", request.server, request.channel, now)
    gateway.settle(now)
    assert not gateway.aaa._places
    assert not gateway.aaa._questions
    assert not gateway.radius._asked


@pytest.mark.parametrize(
    "attribute",
    [
        Attribute(AttributeType.FRAMED_IP_ADDRESS, b"\x0a"),
        Attribute(AttributeType.SESSION_TIMEOUT, b"\x0a"),
        Attribute(AttributeType.FRAMED_ROUTE, b"elsewhere"),
        Attribute.of_vendor(MICROSOFT, MicrosoftType.PRIMARY_DNS_SERVER, b"\x01"),
        Attribute(AttributeType.VENDOR_SPECIFIC, b"\x00"),
    ],
)
def test_a_malformed_accept_lets_nobody_in(attribute: Attribute) -> None:
    lab = lab_with(accepting(attribute))
    assert log_in(lab).state is ClientState.FAILED
    (line, *_) = lab.server.noted("the RADIUS server's answer cannot be used")
    assert "192.0.2.10:1812 sends a malformed attribute" in line.mend
    assert not lab.server.gateway.aaa._places


@pytest.mark.parametrize(
    "address", ["224.0.0.1", "127.0.0.1", "0.0.0.0", "172.16.1.9", "172.16.2.1", "250.1.1.1"]
)
def test_an_address_that_no_user_may_have_lets_nobody_in(address: str) -> None:
    packed = bytes(map(int, address.split(".")))
    lab = lab_with(accepting(Attribute(AttributeType.FRAMED_IP_ADDRESS, packed)))
    assert log_in(lab).state is ClientState.FAILED
    assert lab.server.noted(f"Framed-IP-Address {address}")


def test_an_accept_of_ms_chap_without_the_servers_proof_is_named() -> None:
    lab = lab_with(accepting(), pap=False)
    assert lab.log_in("bob", "secret").state is ClientState.FAILED
    assert lab.server.noted("MS-CHAP2-Success is missing")


def test_the_number_of_an_ms_chap_refusal_reaches_the_client() -> None:
    error = Attribute.of_vendor(MICROSOFT, MicrosoftType.CHAP_ERROR, b"\0E=647 R=0 C=0 V=3 M=off")
    lab = lab_with(lambda r: reply(r, Code.ACCESS_REJECT, error), pap=False)
    client = lab.log_in("bob", "secret")
    assert client.why.startswith("E=647 R=0")


def test_a_challenge_cannot_be_asked_in_ppp() -> None:
    lab = lab_with(lambda r: reply(r, Code.ACCESS_CHALLENGE))
    assert log_in(lab).state is ClientState.FAILED
    assert lab.server.noted("a second answer, which PPP cannot ask for")


@pytest.mark.parametrize(("name", "password"), [("b" * 254, "p"), ("bob", "p" * 129)])
def test_what_does_not_fit_into_an_attribute_is_not_asked(name: str, password: str) -> None:
    """Cut, it would be another user or password."""
    lab = lab_with(accepting())
    assert log_in(lab, name, password).state is ClientState.FAILED
    assert not lab.sent
    assert lab.server.noted("does not fit into a RADIUS attribute")


def test_guessing_at_radius_locks_too() -> None:
    lab = lab_with(lambda r: reply(r, Code.ACCESS_REJECT))
    lab.server.gateway.aaa.lockout = Lockout(Limits(attempts=2))
    for _ in range(3):
        client = log_in(lab)
        lab.simulation.remove(client)
        lab.run(30)
    assert len(lab.sent) == 2
    assert lab.server.noted("locked after wrong passwords")


# Sessions of users that only RADIUS knows


def test_a_reload_ends_them_only_where_radius_is_no_longer_asked() -> None:
    lab = lab_with(accepting())
    client = log_in(lab)
    gateway, now = lab.server.gateway, lab.simulation.now
    directory = gateway.aaa.directory
    assert gateway.replace_directory(directory, now) == 0
    assert gateway.replace_directory(asking(directory, (Source.LOCAL,)), now) == 1
    assert lab.run(10, lambda: client.state is not ClientState.UP)


def test_port_limit_bounds_the_sessions_of_a_user() -> None:
    lab = lab_with(accepting(Attribute.number(AttributeType.PORT_LIMIT, 1)))
    assert log_in(lab).state is ClientState.UP
    options = {"host": "198.51.100.8", "host_name": "another"}
    second = lab.log_in("bob", "secret", prepare=with_pap, **options)
    assert second.state is ClientState.FAILED
    assert lab.server.noted("'bob' has 1 already")


def test_a_device_that_comes_back_gets_its_fixed_address_again() -> None:
    lab = lab_with(accepting(Attribute(AttributeType.FRAMED_IP_ADDRESS, b"\xac\x10\x09\x63")))
    first = log_in(lab)
    lab.simulation.remove(first)
    second = log_in(lab)
    assert second.state is ClientState.UP, second.why
    assert str(second.address) == "172.16.9.99" == str(first.address)


def test_a_device_that_comes_back_gets_the_address_that_radius_gives_now() -> None:
    lab = lab_with(accepting())
    first = log_in(lab)
    lab.simulation.remove(first)
    fixed = Attribute(AttributeType.FRAMED_IP_ADDRESS, b"\xac\x10\x09\x63")
    lab.server.answer = accepting(fixed)
    second = log_in(lab)
    assert second.state is ClientState.UP, second.why
    assert str(second.address) == "172.16.9.99" != str(first.address)
    assert len(lab.server.gateway.calls) == 1


# What a server grants instead of the department's policy


def with_policy(directory: Directory, *routers: User, **policy: object) -> Directory:
    """Return a directory whose departments all have this policy, and that has these users too."""
    departments = {
        name: replace(department, policy=Policy(**policy))  # type: ignore[arg-type]
        for name, department in directory.departments.items()
    }
    users = {**directory.users, **{user.name: user for user in routers}}
    return replace(directory, departments=departments, users=users)


def policy_lab(answer: Answer, *routers: User, **policy: object) -> RadiusLab:
    lab = lab_with(answer, settings=settings_for(servers=(ACCESS,), accounting_servers=()))
    gateway = lab.server.gateway
    directory = with_policy(gateway.aaa.directory, *routers, **policy)
    gateway.replace_directory(directory, lab.simulation.now)
    return lab


def times(session: int, idle: int) -> list[Attribute]:
    return [
        Attribute.number(AttributeType.SESSION_TIMEOUT, session),
        Attribute.number(AttributeType.IDLE_TIMEOUT, idle),
    ]


def mikrotik(rate: bytes) -> Attribute:
    return Attribute.of_vendor(14988, 8, rate)


def rates(lab: RadiusLab) -> tuple[int | None, int | None]:
    (call,) = lab.server.gateway.calls
    assert call.record is not None
    up, down = call.record.up, call.record.down
    return up and up.rate, down and down.rate


def test_what_an_accept_does_not_say_is_the_department_s() -> None:
    lab = policy_lab(accepting(), session_timeout=300.0, rate_up=64_000, rate_down=128_000)
    client = log_in(lab)
    assert rates(lab) == (64_000, 128_000)
    assert lab.run(310, lambda: client.state is not ClientState.UP)
    assert lab.server.noted("the session has lasted 300 s")


def test_an_accept_comes_before_the_department_at_a_reload_too() -> None:
    attributes = [*times(900, 0), mikrotik(b"1M/0")]
    policy = {"session_timeout": 300.0, "idle_timeout": 60.0, "rate_down": 64_000}
    lab = policy_lab(accepting(*attributes), **policy)
    client = log_in(lab)
    gateway = lab.server.gateway
    for seconds in (60.0, 100.0):
        assert rates(lab) == (1_000_000, None)
        assert not lab.run(400, lambda: client.state is not ClientState.UP)
        directory = with_policy(gateway.aaa.directory, session_timeout=seconds, rate_up=64_000)
        gateway.replace_directory(directory, lab.simulation.now)
    assert lab.run(110, lambda: client.state is not ClientState.UP)
    assert lab.server.noted("the session has lasted 900 s")


def test_hours_are_for_users_of_radius_too() -> None:
    lab = policy_lab(accepting(), hours=Hours((Span((0,), 0, 60),)))
    lab.server.gateway.aaa._wall = lambda: 0.0  # a Thursday
    assert log_in(lab).state is ClientState.FAILED
    assert lab.server.noted("outside of the hours of the department")


def test_a_users_expiry_in_the_file_is_not_that_of_a_session_by_radius() -> None:
    old = User("bob", password="another", expires=date(1970, 1, 1))
    lab = policy_lab(accepting(), old)
    lab.server.gateway.aaa._wall = lambda: 7 * 86400.0
    assert log_in(lab).state is ClientState.UP


def route(*networks: str) -> list[Attribute]:
    texts = (f"{network} 0.0.0.0 1" for network in networks)
    return [Attribute.text(AttributeType.FRAMED_ROUTE, text) for text in texts]


def test_a_network_of_an_accept_is_reached_through_the_session() -> None:
    lab = policy_lab(accepting(*route("10.9.0.0/24", "10.9.7.0/24")))
    client = log_in(lab)
    added = [e.network for e in lab.server.events if isinstance(e, RouteAdded)]
    assert added[1:] == [IPv4Network("10.9.0.0/24"), IPv4Network("10.9.7.0/24")]
    there, back = ping("10.9.7.7", INNER_SERVER), ping(INNER_SERVER, "10.9.7.7")
    client.send(there)
    lab.server.receive_inner(back)
    lab.run(1)
    assert (lab.server.inner[-1], client.inner[-1]) == (there, back)


ROUTER = User("router", password=PASSWORD, routes=(IPv4Network("10.20.0.0/16"),))
FIXED = User("fixed", password=PASSWORD, address=IPv4Address("10.30.0.1"))


@pytest.mark.parametrize(
    "networks",
    [
        ["0.0.0.0/0"],
        ["127.1.0.0/16"],
        ["239.0.0.0/8"],
        ["172.16.9.0/28"],
        ["172.16.0.0/12"],
        ["172.16.2.1/32"],
        ["10.20.7.0/24"],
        ["10.30.0.0/24"],
        ["10.9.0.0/16", "10.9.7.0/24"],
        ["10.9.0.0/16", "10.9.0.0/16"],
        ["250.1.0.0/16"],
        [f"10.9.{n}.0/24" for n in range(65)],
    ],
)
def test_a_network_that_is_somebody_else_s_lets_nobody_in(networks: list[str]) -> None:
    lab = policy_lab(accepting(*route(*networks)), ROUTER, FIXED)
    assert log_in(lab).state is ClientState.FAILED
    (line, *_) = lab.server.noted("the RADIUS server's answer cannot be used")
    assert "Framed-Route" in line.mend
    assert not lab.server.gateway.aaa._places


def test_an_address_in_a_network_behind_somebody_lets_nobody_in() -> None:
    inside = Attribute(AttributeType.FRAMED_IP_ADDRESS, bytes([10, 20, 7, 7]))
    lab = policy_lab(accepting(inside), ROUTER)
    assert log_in(lab).state is ClientState.FAILED
    assert lab.server.noted("10.20.7.7 is in 10.20.0.0/16, a network behind 'router'")


@pytest.mark.parametrize(
    "second",
    [
        route("10.9.0.128/25"),
        route("10.0.0.0/8"),
        [Attribute(AttributeType.FRAMED_IP_ADDRESS, bytes([10, 9, 0, 7]))],
    ],
)
def test_a_network_is_not_given_to_two_sessions(second: list[Attribute]) -> None:
    lab = policy_lab(accepting(*route("10.9.0.0/24")))
    first = log_in(lab)
    lab.server.answer = accepting(*second)
    options = {"host": "198.51.100.8", "host_name": "another"}
    other = lab.log_in("eve", "secret", prepare=with_pap, **options)
    assert (first.state, other.state) == (ClientState.UP, ClientState.FAILED)
    assert lab.server.noted("10.9.0.0/24")


def test_a_router_that_comes_back_takes_its_network_along() -> None:
    lab = policy_lab(accepting(*route("10.9.0.0/24")))
    first = log_in(lab)
    lab.simulation.remove(first)
    second = log_in(lab)
    assert second.state is ClientState.UP, second.why
    back = ping(INNER_SERVER, "10.9.0.7")
    lab.server.receive_inner(back)
    lab.run(1)
    assert second.inner[-1] == back


def test_a_reload_that_gives_a_network_to_another_ends_the_session() -> None:
    lab = policy_lab(accepting(*route("10.20.7.0/24")))
    client = log_in(lab)
    gateway, now = lab.server.gateway, lab.simulation.now
    assert gateway.replace_directory(with_policy(gateway.aaa.directory, ROUTER), now) == 1
    lab.run(5)
    assert client.state is not ClientState.UP
    assert lab.server.noted("granted are others' now")


def test_filter_id_is_named_as_what_has_no_effect() -> None:
    lab = policy_lab(accepting(Attribute.text(AttributeType.FILTER_ID, "staff")))
    assert log_in(lab).state is ClientState.UP
    assert lab.server.noted("Filter-Id has no effect here")


# Orders from outside


def order(
    lab: RadiusLab, code: Code, *attributes: Attribute, secret: bytes = SECRET, host: str = ""
) -> Packet | None:
    request = signed_request(code, 7, attributes, secret)
    gateway, now = lab.server.gateway, lab.simulation.now
    answer = gateway.receive_dynamic(request, host or CLIENT.host, now)
    lab.run(0)
    return None if answer is None else Packet.parse(answer)


def dynamic_lab() -> tuple[RadiusLab, ClientHost]:
    lab = lab_with(accepting(), settings=settings_for(servers=(ACCESS,), accounting_servers=()))
    return lab, log_in(lab)


BOB = Attribute.text(AttributeType.USER_NAME, "bob")


def test_a_disconnect_ends_the_session_that_fits() -> None:
    lab, client = dynamic_lab()
    options = {"host": "198.51.100.8", "host_name": "another"}
    other = lab.log_in("eve", "secret", prepare=with_pap, **options)
    answer = order(lab, Code.DISCONNECT_REQUEST, BOB)
    assert answer is not None
    assert answer.code == Code.DISCONNECT_ACK
    assert lab.run(10, lambda: client.state is not ClientState.UP)
    assert other.state is ClientState.UP
    assert lab.server.noted("disconnected by RADIUS")


@pytest.mark.parametrize(
    ("code", "attributes", "cause"),
    [
        (
            Code.DISCONNECT_REQUEST,
            [Attribute.text(AttributeType.USER_NAME, "eve")],
            ErrorCause.SESSION_CONTEXT_NOT_FOUND,
        ),
        (
            Code.DISCONNECT_REQUEST,
            [BOB, Attribute.text(AttributeType.ACCT_SESSION_ID, "0-1")],
            ErrorCause.SESSION_CONTEXT_NOT_FOUND,
        ),
        (Code.DISCONNECT_REQUEST, [], ErrorCause.MISSING_ATTRIBUTE),
        (Code.COA_REQUEST, [BOB], ErrorCause.MISSING_ATTRIBUTE),
        (
            Code.COA_REQUEST,
            [BOB, Attribute.text(AttributeType.FILTER_ID, "staff")],
            ErrorCause.UNSUPPORTED_ATTRIBUTE,
        ),
        (
            Code.COA_REQUEST,
            [BOB, Attribute.of_vendor(9, 1, b"x")],
            ErrorCause.UNSUPPORTED_ATTRIBUTE,
        ),
        (
            Code.COA_REQUEST,
            [BOB, Attribute.of_vendor(14988, 9, b"x")],
            ErrorCause.UNSUPPORTED_ATTRIBUTE,
        ),
        (
            Code.COA_REQUEST,
            [BOB, Attribute.text(AttributeType.FRAMED_ROUTE, "10.9.0.0/24")],
            ErrorCause.UNSUPPORTED_ATTRIBUTE,
        ),
        (
            Code.COA_REQUEST,
            [BOB, Attribute.of_vendor(14122, 7, b"x")],
            ErrorCause.INVALID_ATTRIBUTE_VALUE,
        ),
        (
            Code.COA_REQUEST,
            [BOB, Attribute(AttributeType.SESSION_TIMEOUT, b"x")],
            ErrorCause.INVALID_ATTRIBUTE_VALUE,
        ),
    ],
)
def test_what_cannot_be_done_is_refused(
    code: Code, attributes: list[Attribute], cause: ErrorCause
) -> None:
    lab, client = dynamic_lab()
    answer = order(lab, code, *attributes)
    assert answer is not None
    assert answer.code in (Code.DISCONNECT_NAK, Code.COA_NAK)
    assert answer.attributes.number(AttributeType.ERROR_CAUSE) == cause
    lab.run(5)
    assert client.state is ClientState.UP


def test_a_disconnect_of_one_port_ends_no_other_session() -> None:
    lab, client = dynamic_lab()
    (call,) = lab.server.gateway.calls
    other = Attribute.number(AttributeType.NAS_PORT, call.session ^ 1)
    answer = order(lab, Code.DISCONNECT_REQUEST, BOB, other)
    assert answer is not None
    assert answer.code == Code.DISCONNECT_NAK
    lab.run(5)
    assert client.state is ClientState.UP
    theirs = Attribute.number(AttributeType.NAS_PORT, call.session)
    answer = order(lab, Code.DISCONNECT_REQUEST, theirs)
    assert answer is not None
    assert answer.code == Code.DISCONNECT_ACK


def test_a_coa_sets_the_time_that_is_left() -> None:
    lab, client = dynamic_lab()
    answer = order(lab, Code.COA_REQUEST, BOB, Attribute.number(AttributeType.SESSION_TIMEOUT, 60))
    assert answer is not None
    assert answer.code == Code.COA_ACK
    assert not lab.run(59, lambda: client.state is not ClientState.UP)
    assert lab.run(5, lambda: client.state is not ClientState.UP)


def test_a_coa_of_0_lifts_the_limit() -> None:
    lab, client = dynamic_lab()
    for seconds in (60, 0):
        times = (AttributeType.SESSION_TIMEOUT, AttributeType.IDLE_TIMEOUT)
        answer = order(lab, Code.COA_REQUEST, BOB, *(Attribute.number(t, seconds) for t in times))
        assert answer is not None
        assert answer.code == Code.COA_ACK
    assert not lab.run(200, lambda: client.state is not ClientState.UP)


def test_a_coa_changes_rates_and_what_it_does_not_name_stays() -> None:
    lab = policy_lab(accepting(*times(900, 0)), session_timeout=60.0, rate_down=64_000)
    client = log_in(lab)
    for rate, then in ((b"2M/3M", (2_000_000, 3_000_000)), (b"0/1M", (None, 1_000_000))):
        answer = order(lab, Code.COA_REQUEST, BOB, mikrotik(rate))
        assert answer is not None
        assert answer.code == Code.COA_ACK
        assert rates(lab) == then
    up = Attribute.of_vendor(14122, 7, (512_000).to_bytes(4, "big"))
    assert order(lab, Code.COA_REQUEST, BOB, up) is not None
    assert rates(lab) == (512_000, 1_000_000)
    assert not lab.run(800, lambda: client.state is not ClientState.UP)
    assert lab.run(110, lambda: client.state is not ClientState.UP)


def test_a_coa_s_times_count_from_then_on_for_users_of_the_file_too() -> None:
    lab = lab_with(
        silent,
        Source.LOCAL,
        settings=settings_for(servers=(ACCESS,), accounting_servers=()),
    )
    client = log_in(lab, "u1", PASSWORD)
    lab.run(500)
    name = Attribute.text(AttributeType.USER_NAME, "u1")
    answer = order(lab, Code.COA_REQUEST, name, *times(400, 100))
    assert answer is not None
    assert answer.code == Code.COA_ACK
    assert not lab.run(99, lambda: client.state is not ClientState.UP)
    assert order(lab, Code.COA_REQUEST, name, times(0, 0)[1]) is not None
    assert not lab.run(295, lambda: client.state is not ClientState.UP)
    assert lab.run(10, lambda: client.state is not ClientState.UP)


def test_strangers_are_not_answered() -> None:
    lab, client = dynamic_lab()
    assert order(lab, Code.DISCONNECT_REQUEST, BOB, secret=b"another") is None
    assert order(lab, Code.DISCONNECT_REQUEST, BOB, host="192.0.2.66") is None
    lab.run(5)
    assert client.state is ClientState.UP


# Accounting


def test_reports_wait_in_order_and_no_session_has_two_under_way() -> None:
    up = False
    settings = replace(SETTINGS, accounting_servers=(ACCOUNTING,))
    seen: list[tuple[str | None, int | None]] = []

    def answer(request: Datagram) -> bytes | None:
        if request.server == ACCOUNTING:
            if not up:
                return None
            attributes = Packet.parse(request.data).attributes
            status = attributes.number(AttributeType.ACCT_STATUS_TYPE)
            seen.append((attributes.text(AttributeType.ACCT_SESSION_ID), status))
        return accepting()(request)

    lab = lab_with(answer, settings=settings)
    client = log_in(lab)
    (call,) = lab.server.gateway.calls
    client.hang_up(lab.simulation.now)
    lab.run(100)
    up = True
    lab.run(60)
    start_and_stop = [int(AcctStatusType.START), int(AcctStatusType.STOP)]
    assert seen[0][1] == AcctStatusType.ACCOUNTING_ON, "first, however late"
    assert seen[1:] == [(call.accounting_id, status) for status in start_and_stop]
    assert not lab.server.gateway.radius.accounting.queue.reports(1)
    assert len(lab.server.noted("accounting: no RADIUS server answers")) == 1
    assert len(lab.server.noted("answers again")) == 1


def test_session_ids_differ_across_restarts() -> None:
    """Both where the clock went on, and where it was set back."""
    starts = [(1000.0, bytes(2)), (1001.0, bytes(2)), (1000.0, b"\x01\x02")]
    ids = [
        Accounting(
            ClientConfig((ACCOUNTING,)), Nas("vpn"), None, lambda _, e=e: e, lambda w=w: w, print
        ).new_id()
        for w, e in starts
        for _ in range(2)
    ]
    assert len(set(ids)) == len(starts)
