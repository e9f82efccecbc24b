"""The control socket: the lines of the protocol, both ends together, and bad neighbours."""

import asyncio
import json
import socket
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2gate.control import (
    LONGEST_REQUEST,
    MAX_CLIENTS,
    MAX_WAITING,
    ControlError,
    ControlServer,
    Json,
    ProtocolError,
    Refused,
    Request,
    Response,
    ServerUnreachable,
    Sink,
    ask,
    messages,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.text(), st.dictionaries(st.text(), JSON))
def test_a_request_is_read_as_it_was_built(command: str, arguments: dict[str, Json]) -> None:
    line = Request(command, arguments).build()
    assert line.count(b"\n") == 1
    assert Request.parse(line) == Request(command, arguments)


@given(JSON)
def test_a_result_is_read_as_it_was_built(result: Json) -> None:
    assert Response.parse(Response(result).build()) == Response(result)


@given(st.text())
def test_an_error_is_read_as_it_was_built(error: str) -> None:
    assert Response.parse(Response(error=error).build()) == Response(error=error)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_other_lines_are_protocol_errors(octets: bytes) -> None:
    for parse in (Request.parse, Response.parse):
        with pytest.raises(ProtocolError):
            parse(octets)
        try:
            parse(octets + b"\n")
        except ProtocolError:
            continue


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"command": "status"}', "the line is not complete"),
        (b"status\n", "the line is not JSON"),
        (b"[" * 100_000 + b"\n", "the line is not JSON"),
        (b"[]\n", "the line is not a JSON object"),
        (b"{}\n", "expected a command and its arguments"),
        (b'{"command": 1}\n', "expected a command and its arguments"),
        (b'{"command": "x", "arguments": []}\n', "expected a command and its arguments"),
    ],
)
def test_what_is_no_request(line: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        Request.parse(line)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


def echo(request: Request) -> Response:
    if request.command == "fail":
        raise RuntimeError("a fault of the program")
    return Response({"command": request.command, **request.arguments})


def served(path: Path, talk: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run `talk` while a server listens."""

    async def run() -> None:
        server = ControlServer(path, echo)
        await server.start()
        try:
            await talk()
        finally:
            await server.close()

    asyncio.run(run())


def test_ask_and_answer(path: Path) -> None:
    async def talk() -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for number in range(2 * MAX_CLIENTS):
            request = Request("disconnect", {"session": number})
            response = await asyncio.to_thread(ask, path, request)
            assert response == Response({"command": "disconnect", "session": number})

    served(path, talk)
    assert not path.exists()


def test_a_fault_of_a_command_is_told_and_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk() -> None:
        response = await asyncio.to_thread(ask, path, Request("fail"))
        assert response.error == "the server failed at this command: see its log"
        assert "a fault of the program" in caplog.text

    served(path, talk)


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        (b"nonsense\n", "the line is not JSON"),
        (b"x" * (LONGEST_REQUEST + 1) + b"\n", "the request is too long"),
    ],
)
def test_bad_requests_are_answered(path: Path, octets: bytes, error: str) -> None:
    async def talk() -> None:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(octets)
        assert Response.parse(await reader.readline()) == Response(error=error)
        writer.close()

    served(path, talk)


def test_a_client_that_goes_away_or_sends_nothing_disturbs_nobody(path: Path) -> None:
    async def talk() -> None:
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b'{"command"')
        writer.close()
        await writer.wait_closed()
        silent = [await asyncio.open_unix_connection(str(path)) for _ in range(3)]
        assert (await asyncio.to_thread(ask, path, Request("x"))).error is None
        for _, writer in silent:
            writer.close()

    served(path, talk)


class Counting:
    """A feed of so many lines, and why it was stopped."""

    def __init__(self, lines: int = 0, seconds: float = 60.0, over: bool = False) -> None:
        self.seconds = seconds
        self.stopped: list[str] = []
        self.refused = 0
        self.sink: Sink
        self._lines = lines
        self._over = over

    def start(self, sink: Sink) -> None:
        self.sink = sink
        for line in range(self._lines):
            self.refused += not sink.offer({"line": line, "filler": "x" * 1000})
        if self._over:
            sink.close()

    def stop(self, why: str) -> None:
        self.stopped.append(why)
        self.sink.put({"end": why})


def fed(
    path: Path, feed: Counting, talk: Callable[[ControlServer], Coroutine[None, None, None]]
) -> None:
    """Run `talk` while a server listens that answers everything with a feed."""

    async def run() -> None:
        server = ControlServer(path, lambda _: Response({"begun": True}, feed=feed))
        await server.start()
        try:
            await talk(server)
        finally:
            await server.close()

    asyncio.run(run())


def all_messages(path: Path) -> list[dict[str, Json]]:
    return list(messages(path, Request("x"), 10.0))


def test_a_feed_that_ends_itself(path: Path) -> None:
    feed = Counting(3, over=True)

    async def talk(server: ControlServer) -> None:
        first, *lines, _ = await asyncio.to_thread(all_messages, path)
        assert first == {"begun": True}
        assert [line["line"] for line in lines] == [0, 1, 2]

    fed(path, feed, talk)
    assert len(feed.stopped) == 1


def test_a_feed_whose_time_is_over(path: Path) -> None:
    feed = Counting(seconds=0.01)

    async def talk(server: ControlServer) -> None:
        assert (await asyncio.to_thread(all_messages, path))[1:] == [{"end": "the time is over"}]

    fed(path, feed, talk)
    assert feed.stopped == ["the time is over"]


def test_a_feed_ends_when_the_client_hangs_up_or_is_killed(path: Path) -> None:
    feed = Counting()

    async def talk(server: ControlServer) -> None:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(Request("x").build())
        assert await reader.readline() == Response({"begun": True}).build()
        assert feed.stopped == []
        writer.close()
        while not feed.stopped:
            await asyncio.sleep(0)

    fed(path, feed, talk)
    assert len(feed.stopped) == 1


def test_a_feed_ends_when_the_server_stops(path: Path) -> None:
    feed = Counting()

    async def talk(server: ControlServer) -> None:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(Request("x").build())
        await reader.readline()
        await server.close()
        assert json.loads(await reader.readline()) == {"end": "the server stops"}
        assert await reader.read() == b""
        writer.close()

    fed(path, feed, talk)


def test_a_client_that_does_not_read_costs_no_more_than_a_bound(path: Path) -> None:
    lines = 2 * MAX_WAITING // 1000
    feed = Counting(lines)

    async def talk(server: ControlServer) -> None:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(Request("x").build())
        await reader.readline()
        assert 0 < feed.refused < lines
        writer.close()

    fed(path, feed, talk)


@pytest.mark.parametrize("response", [Response(error="no"), Response([])])
def test_a_feed_that_is_refused(path: Path, response: Response) -> None:
    async def run() -> None:
        server = ControlServer(path, lambda _: response)
        await server.start()
        try:
            with pytest.raises(Refused, match=r"^no$|of another version"):
                await asyncio.to_thread(all_messages, path)
        finally:
            await server.close()

    asyncio.run(run())


def test_the_number_of_clients_is_bounded(path: Path) -> None:
    async def talk() -> None:
        clients = [await asyncio.open_unix_connection(str(path)) for _ in range(MAX_CLIENTS)]
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert await reader.read() == b"", "one too many is closed"
        for each in (writer, *(writer for _, writer in clients)):
            each.close()

    served(path, talk)


def test_two_servers_are_refused(path: Path) -> None:
    async def talk() -> None:
        with pytest.raises(ControlError, match=r"a server listens on .* already: stop it first"):
            await ControlServer(path, echo).start()
        assert (await asyncio.to_thread(ask, path, Request("x"))).error is None

    served(path, talk)


def test_the_socket_of_a_dead_server_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def talk() -> None:
        assert (await asyncio.to_thread(ask, path, Request("x"))).error is None

    served(path, talk)


def test_another_file_is_not_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(ControlError, match="exists and is not a socket: remove it"):
        asyncio.run(ControlServer(path, echo).start())
    assert path.read_text() == "precious"


def test_a_socket_that_cannot_be_made(tmp_path: Path) -> None:
    path = tmp_path / "no" / "such" / "control.sock"
    with pytest.raises(ControlError, match=r"control\.sock: No such file or directory"):
        asyncio.run(ControlServer(path, echo).start())


def test_no_server(path: Path) -> None:
    with pytest.raises(ServerUnreachable, match=r"no server answers on .*control\.sock: No such"):
        ask(path, Request("status"))


def test_a_server_that_hangs_up(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        async def talk() -> None:
            asked = asyncio.create_task(asyncio.to_thread(ask, path, Request("status")))
            connection, _ = await asyncio.to_thread(listener.accept)
            await asyncio.to_thread(connection.recv, 1000)
            connection.close()
            with pytest.raises(ProtocolError, match="the line is not complete"):
                await asked

        asyncio.run(talk())
