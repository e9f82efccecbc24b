"""What an admin does to a server with sessions: reload, disconnect, look."""

from dataclasses import replace

from aaa import Directory, User
from l2gate.control import Json, Request, Response
from l2gate.gateway import IDLE_PEER, IDLE_TUNNEL
from l2gate.operations import Operations
from l2gate.reports import sessions_from_json, status_from_json
from l2gate.switchboard import OPENING
from tests.support.client import ClientHost, ClientState
from tests.support.lab import PASSWORD, Lab, configuration
from tests.support.simulation import Nat


def logged_in(lab: Lab, name: str, host: str, nat: Nat | None = None) -> ClientHost:
    client = lab.client(name, host, nat)
    assert lab.run(10, lambda: client.state is ClientState.UP), client.why
    return client


def operations(lab: Lab) -> Operations:
    simulation = lab.simulation
    return Operations(
        configuration(),
        lab.server.gateway,
        clock=lambda: simulation.now,
        wall=lambda: simulation.now + 1e9,
        flush=lambda: None,
    )


def answer(desk: Operations, command: str) -> Json:
    """Return the result of a command as the other end of the control socket has it."""
    return Response.parse(desk.handle(Request(command)).build()).result


def with_users(directory: Directory, *users: User) -> Directory:
    return replace(directory, users={**directory.users, **{user.name: user for user in users}})


def test_a_reload_ends_what_is_no_longer_allowed_and_nothing_else() -> None:
    lab = Lab()
    stays = logged_in(lab, "u1", "198.51.100.11")
    removed = logged_in(lab, "u2", "198.51.100.12")
    disabled = logged_in(lab, "u3", "198.51.100.13")
    directory = configuration().directory
    users = {name: user for name, user in directory.users.items() if name != "u2"}
    users["u3"] = User("u3", password=PASSWORD, disabled=True)
    changed = replace(directory, users=users)
    assert lab.server.gateway.replace_directory(changed, lab.simulation.now) == 2
    lab.run(5)
    assert stays.state is ClientState.UP
    assert removed.state is disabled.state is ClientState.CLOSED
    assert lab.server.noted("the user was removed")
    assert lab.server.noted("the user was disabled")


def test_a_reload_lets_a_new_user_in() -> None:
    lab = Lab()
    old = logged_in(lab, "u1", "198.51.100.11")
    new = with_users(configuration().directory, User("carol", password=PASSWORD))
    assert lab.server.gateway.replace_directory(new, lab.simulation.now) == 0
    logged_in(lab, "carol", "198.51.100.12")
    assert old.state is ClientState.UP


def test_sessions_and_status_say_what_there_is() -> None:
    lab = Lab()
    desk = operations(lab)
    client = logged_in(lab, "u1@sales.example.com", "192.168.77.11", Nat("198.51.100.1"))
    lab.run(100)
    (row,) = sessions_from_json(answer(desk, "sessions"))
    assert (row.user, row.department) == ("u1@sales.example.com", "sales")
    assert (row.address, row.host_name, row.nat) == (str(client.address), "laptop", True)
    assert row.peer == "198.51.100.1:40001"
    assert 99 < lab.simulation.now + 1e9 - row.since < 101
    status = status_from_json(answer(desk, "status"))
    assert (status.sessions, status.peers) == (1, 1)
    assert {pool.department: pool.used for pool in status.pools}["sales"] == 1


def test_disconnect_by_session_and_by_user() -> None:
    lab = Lab()
    desk = operations(lab)
    first = logged_in(lab, "u1", "198.51.100.11")
    second = logged_in(lab, "u2", "198.51.100.12")
    ids = {row.user: row.id for row in sessions_from_json(desk.handle(Request("sessions")).result)}
    assert desk.handle(Request("disconnect", {"session": ids["u1"]})).result == {"closed": 1}
    lab.run(5)
    assert (first.state, second.state) == (ClientState.CLOSED, ClientState.UP)
    assert desk.handle(Request("disconnect", {"user": "u2"})).result == {"closed": 1}
    lab.run(5)
    assert second.state is ClientState.CLOSED
    assert desk.handle(Request("disconnect", {"user": "u2"})).error == "there is no session of 'u2'"
    assert "does not know 'fly'" in str(desk.handle(Request("fly")).error)


def test_the_sas_of_a_client_that_hung_up_are_deleted_in_the_end() -> None:
    lab = Lab()
    client = logged_in(lab, "u1", "198.51.100.11")
    client.hang_up(lab.simulation.now)
    lab.run(5)
    assert not lab.server.gateway.tables.addresses
    lab.run(IDLE_PEER + 5)
    assert not len(lab.server.gateway.peers)
    assert not len(client.peers)


def test_a_client_that_hangs_up_by_ppp_alone_has_time_to_end_the_rest_itself() -> None:
    """Windows does: it deletes its SAs some seconds after its Terminate-Request."""
    lab = Lab()
    client = logged_in(lab, "u1", "198.51.100.11")
    client._hang_up_l2tp = lambda why, now: None  # type: ignore[method-assign]
    client.hang_up(lab.simulation.now)
    lab.run(10)
    assert not lab.server.gateway.tables.addresses
    assert len(lab.server.gateway.peers) == 1
    lab.run(IDLE_TUNNEL + 5)
    assert not len(lab.server.gateway.peers)


def test_a_peer_that_never_asks_for_an_address_does_not_keep_one() -> None:
    """It acknowledges our Configure-Request of IPCP and answers echoes, and that is all."""
    lab = Lab()
    client = lab.client("u1", "198.51.100.11")
    request, send = b"\x80\x21\x01", client.lac.send

    def send_all_but_requests(session: int, frame: bytes, ns: int | None = None) -> None:
        if request not in frame:
            send(session, frame, ns)

    def leave_the_link_alone(now: float) -> None:
        client.ike.handle_timeout(now)
        client.lac.handle_timeout(now)

    client.lac.send = send_all_but_requests  # type: ignore[method-assign]
    client.handle_timeout = leave_the_link_alone  # type: ignore[method-assign]
    client.next_timeout = client.lac.next_timeout  # type: ignore[method-assign]
    lab.run(OPENING - 10)
    assert len(lab.server.gateway.calls) == 1
    lab.run(20)
    assert not len(lab.server.gateway.calls)
    assert lab.server.noted("does not finish IPCP")
