"""The control socket: how the command line talks to a running server.

A client connects to a Unix socket, sends one line of JSON and receives one line of JSON:

    {"command": "disconnect", "arguments": {"session": 4711}}
    {"ok": true, "result": {"closed": 1}}
    {"ok": false, "error": "there is no session 4711"}

Whoever may open the socket controls the server: it is for its owner alone (mode 0600).
"""

import asyncio
import json
import logging
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""What a request or response can hold."""

LONGEST_REQUEST = 65536
"""Octets of a request line; a longer one is refused."""

MAX_CLIENTS = 16
"""Connections at one time; further ones are closed."""

PATIENCE = 10.0
"""Seconds that either side waits for the other."""

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


@dataclass(frozen=True, slots=True)
class Response:
    """What the server answers: a result, or the reason why there is none."""

    result: Json = None
    error: str | None = None

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
                writer.write((await self._answer(await reader.readuntil())).build())
                await writer.drain()
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


def ask(path: Path, request: Request) -> Response:
    """Send a request to the server that listens on `path`, and wait for its answer.

    Raises ServerUnreachable, and ProtocolError where something else answers.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            connection.sendall(request.build())
            with connection.makefile("rb") as stream:
                return Response.parse(stream.readline())
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
