"""The control socket: how the command line talks to a running server.

A client connects to a Unix socket, sends one line of JSON and receives one line of JSON:

    {"command": "disconnect", "arguments": {"session": 4711}}
    {"ok": true, "result": {"closed": 1}}
    {"ok": false, "error": "there is no session 4711"}

After the result of some commands the server goes on to send lines, each an object, until it has
no more or the client hangs up.

Whoever may open the socket controls the server: it is for its owner alone (mode 0600).
"""

import asyncio
import json
import logging
import socket
import stat
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""What a request or response can hold."""

LONGEST_REQUEST = 65536
"""Octets of a request line; a longer one is refused."""

MAX_CLIENTS = 16
"""Connections at one time; further ones are closed."""

PATIENCE = 10.0
"""Seconds that either side waits for the other."""

MAX_WAITING = 4 << 20
"""Octets that wait for a client which reads slowly; what is left out then, the feed counts."""

log = logging.getLogger("l2gate.control")


@dataclass(frozen=True, slots=True)
class Request:
    """What a client wants: a command and its arguments."""

    command: str
    arguments: Mapping[str, Json] = field(default_factory=dict)

    def build(self) -> bytes:
        """Return the line that goes to the server."""
        return _line({"command": self.command, "arguments": dict(self.arguments)})

    @classmethod
    def parse(cls, line: bytes) -> "Request":
        """Read a client's line. Raises ProtocolError."""
        message = _message(line)
        command, arguments = message.get("command"), message.get("arguments", {})
        if not isinstance(command, str) or not isinstance(arguments, dict):
            raise ProtocolError("expected a command and its arguments")
        return cls(command, arguments)


class Sink(Protocol):
    """Where a feed puts its messages."""

    def offer(self, message: dict[str, Json]) -> bool:
        """Send a message, unless too much waits for the client; return whether it was sent."""

    def put(self, message: dict[str, Json]) -> None:
        """Send a message."""

    def close(self) -> None:
        """Say that there are no more."""


class Feed(Protocol):
    """What goes on after a response, so many seconds at most."""

    seconds: float

    def start(self, sink: Sink) -> None:
        """Begin to put messages into the sink."""

    def stop(self, why: str) -> None:
        """Put the last ones, if there are to be any more."""


@dataclass(frozen=True, slots=True)
class Response:
    """What the server answers: a result, or the reason why there is none; perhaps a feed."""

    result: Json = None
    error: str | None = None
    feed: Feed | None = field(default=None, compare=False)

    def build(self) -> bytes:
        """Return the line that goes to the client."""
        if self.error is not None:
            return _line({"ok": False, "error": self.error})
        return _line({"ok": True, "result": self.result})

    @classmethod
    def parse(cls, line: bytes) -> "Response":
        """Read the server's line. Raises ProtocolError."""
        message = _message(line)
        if message.get("ok") is True:
            return cls(result=message.get("result"))
        error = message.get("error")
        if not isinstance(error, str):
            raise ProtocolError("expected a result or an error")
        return cls(error=error)


Handler = Callable[[Request], Response | Awaitable[Response]]
"""What answers requests; it is called in the event loop, and awaited where it has to wait."""


class ControlError(Exception):
    """The control socket cannot be used; the text is for the admin."""


class ProtocolError(ControlError):
    """A line is not what this protocol has."""


class Refused(ControlError):  # noqa: N818
    """The server did not do what it was asked to; the text is its own."""


class ServerUnreachable(ControlError):  # noqa: N818
    """No server answers on the socket."""


class ControlServer:
    """The server's side."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises ControlError, also where another server does."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.parent.mkdir(mode=0o755, exist_ok=True)
            _remove_stale(self._path)
            listener.bind(str(self._path))
            self._path.chmod(0o600)  # before it listens, so nobody gets in between
            self._server = await asyncio.start_unix_server(
                self._connected, sock=listener, limit=LONGEST_REQUEST
            )
        except OSError as error:
            listener.close()
            raise ControlError(f"control socket {self._path}: {error.strerror}") from error
        except ControlError:
            listener.close()
            raise

    async def close(self) -> None:
        """Stop listening, leave the clients, and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._path.unlink(missing_ok=True)
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            writer.close()
            return
        client = asyncio.create_task(self._serve(reader, writer))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                response = await self._answer(await reader.readuntil())
                writer.write(response.build())
                if response.feed is None:
                    await writer.drain()
            if response.feed is not None:
                await _feed(response.feed, reader, writer)
        except asyncio.LimitOverrunError:
            writer.write(Response(error="the request is too long").build())
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            log.debug("a client of the control socket went away")
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Response:
        try:
            answer = self._handler(Request.parse(line))
            return answer if isinstance(answer, Response) else await answer
        except ProtocolError as error:
            return Response(error=str(error))
        except Exception:
            log.exception("a control command failed")
            return Response(error="the server failed at this command: see its log")


class _Connection:
    """The sink of a feed: a client. `over` is set when there is no more."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.over = asyncio.Event()

    def offer(self, message: dict[str, Json]) -> bool:
        if self._writer.transport.get_write_buffer_size() > MAX_WAITING:
            return False
        self.put(message)
        return True

    def put(self, message: dict[str, Json]) -> None:
        if not self._writer.is_closing():
            self._writer.write(_line(message))

    def close(self) -> None:
        self.over.set()


async def _feed(feed: Feed, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Run a feed until it is over or the client hangs up: it has nothing more to say."""
    connection = _Connection(writer)
    why = "the server stops"
    feed.start(connection)
    waits = {asyncio.create_task(connection.over.wait()), asyncio.create_task(reader.read(1))}
    try:
        await asyncio.wait(waits, timeout=feed.seconds, return_when=asyncio.FIRST_COMPLETED)
        why = "the time is over"
    finally:
        feed.stop(why)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def ask(path: Path, request: Request) -> Response:
    """Send a request to the server that listens on `path`, and wait for its answer.

    Raises ServerUnreachable, and ProtocolError where something else answers.
    """
    return Response.parse(next(lines(path, request), b""))


def messages(
    path: Path, request: Request, patience: float
) -> Generator[dict[str, Json], None, None]:
    """Send a request, and return the result, then the messages that follow it, as they come.

    `patience` is for how many seconds there may be none. Raises Refused, and as `ask`.
    """
    answer = lines(path, request, patience)
    response = Response.parse(next(answer, b""))
    if response.error is not None or not isinstance(response.result, dict):
        raise Refused(response.error or "the server answers otherwise: is it of another version?")
    yield response.result
    yield from map(_message, answer)


def lines(path: Path, request: Request, patience: float = PATIENCE) -> Iterator[bytes]:
    """Send a request, and return each line of the answer as it comes. Raises ServerUnreachable."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            connection.sendall(request.build())
            connection.settimeout(patience)
            with connection.makefile("rb") as stream:
                yield from stream
    except OSError as error:
        why = error.strerror or str(error)
        raise ServerUnreachable(f"no server answers on {path}: {why}") from error


def _remove_stale(path: Path) -> None:
    """Remove the socket of a server that is gone. Raises ControlError if it is not."""
    try:
        mode = path.stat(follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlError(f"{path} exists and is not a socket: remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PATIENCE)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise ControlError(f"a server listens on {path} already: stop it first")


def _line(message: dict[str, Json]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _message(line: bytes) -> dict[str, Json]:
    if not line.endswith(b"\n"):
        raise ProtocolError("the line is not complete")
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError("the line is not JSON") from None
    if not isinstance(message, dict):
        raise ProtocolError("the line is not a JSON object")
    return message
