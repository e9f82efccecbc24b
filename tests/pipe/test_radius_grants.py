"""What RADIUS servers grant, and change by orders from outside, against a whole server."""

from dataclasses import replace
from datetime import date
from ipaddress import IPv4Address, IPv4Network

import pytest

from aaa import Directory, Hours, Policy, Source, Span, User
from aaa.radius.constants import (
    AttributeType,
    Code,
    ErrorCause,
)
from aaa.radius.packet import Attribute, Packet, signed_request
from l2gate.events import RouteAdded
from tests.support.client import ClientHost, ClientState
from tests.support.lab import INNER_SERVER, PASSWORD, ping
from tests.support.radius_lab import (
    ACCESS,
    CLIENT,
    SECRET,
    Answer,
    RadiusLab,
    accepting,
    lab_with,
    log_in,
    settings_for,
    silent,
    with_pap,
)


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
