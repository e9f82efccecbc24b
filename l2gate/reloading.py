"""Taking keys, users and departments from the files again, and what that changes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from l2gate.configuration import Configuration, ConfigurationError, load
from l2gate.configuration.editing import EditError, set_password
from l2gate.configuration.ipv6 import AnyNetwork
from l2gate.control import Json, ProtocolError, Request, Response
from l2gate.devices import interfaces
from l2gate.events import Happening, Noted, Stage, printable
from l2gate.gateway import Gateway

Value = TypeVar("Value")

SECTIONS = ("server", "ipsec", "l2tp", "ppp", "lockout", "radius", "state")
"""What is read at the start alone, but for keys, certificates and the name of the TUN device."""

MOST_NAMES = 1000
"""Names of each kind in one answer; the rest is counted."""

_log = logging.getLogger("l2gate")


class NotReadyError(Exception):
    """The machine refuses what a configuration needs; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that the new configuration does not allow, by our L2TP session id, and why."""

    session: int
    user: str
    why: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload changes: names in order. `sections` wait for the next start.

    `credentials`: clients' next handshakes are by other keys.
    """

    users: int
    users_added: tuple[str, ...]
    users_removed: tuple[str, ...]
    users_changed: tuple[str, ...]
    departments_added: tuple[str, ...]
    departments_removed: tuple[str, ...]
    departments_changed: tuple[str, ...]
    interfaces_added: tuple[str, ...]
    interfaces_removed: tuple[str, ...]
    credentials: bool
    sections: tuple[str, ...]
    ended: tuple[Ended, ...]

    def to_json(self) -> Json:
        """Return what a server answers to `reload`."""
        return {
            key: [*value[:MOST_NAMES], f"... and {len(value) - MOST_NAMES} more"]
            if isinstance(value, tuple) and len(value) > MOST_NAMES and key != "ended"
            else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, result: Json) -> "Changes":
        """Return the changes of an answer. Raises ProtocolError if it holds something else."""
        make: Callable[..., Ended] = Ended
        try:
            if isinstance(result, dict) and isinstance(result["ended"], list):
                rows = [make(**row) for row in result["ended"] if isinstance(row, dict)]
                values = {k: tuple(v) if isinstance(v, list) else v for k, v in result.items()}
                return cls(**(values | {"ended": tuple(rows)}))  # type: ignore[arg-type]
        except (KeyError, TypeError):
            pass
        raise ProtocolError("the server reports otherwise: is it of another version?")

    def text(self) -> str:
        """Return the changes for people: a line for each kind of which there is something."""
        lines = [
            f"{title}: {', '.join(map(printable, names))}"
            for title, names in (
                ("departments added", self.departments_added),
                ("departments removed", self.departments_removed),
                ("departments changed", self.departments_changed),
                ("interfaces added", self.interfaces_added),
                ("interfaces removed", self.interfaces_removed),
                ("users added", self.users_added),
                ("users removed", self.users_removed),
                ("users changed", self.users_changed),
                ("only at the next start", self.sections),
            )
            if names
        ]
        if self.credentials:
            lines.append("keys changed: for the next handshake of each client")
        lines += [
            f"session {ended.session} of {printable(ended.user)} ends: {ended.why}"
            for ended in self.ended
        ]
        return "\n".join(lines) or "nothing changes"


def changes(before: Configuration, after: Configuration, gateway: Gateway) -> Changes:
    """Return what differs, and which sessions of a gateway end by it."""
    old, new = before.directory, after.directory
    kept = _reloaded(before, after)
    return Changes(
        len(new.users),
        *_difference(old.users, new.users),
        *_difference(old.departments, new.departments),
        tuple(sorted(interfaces(new).keys() - interfaces(old))),
        tuple(sorted(interfaces(old).keys() - interfaces(new))),
        kept.ipsec != before.ipsec,
        tuple(name for name in SECTIONS if getattr(kept, name) != getattr(after, name)),
        tuple(
            Ended(revoked.session, revoked.user, revoked.why)
            for revoked in gateway.aaa.disallowed_by(new)
            if isinstance(revoked.session, int)
        ),
    )


class Reloader:
    """Reloads the file `path` into a gateway."""

    def __init__(
        self,
        path: Path,
        configuration: Configuration,
        gateway: Gateway,
        clock: Callable[[], float],
        own_networks: Callable[[], Awaitable[Sequence[AnyNetwork]]],
        prepare: Callable[[Configuration], Awaitable[None]],
        flush: Callable[[], None],
        tell: Callable[[Noted], None],
    ) -> None:
        """`prepare` gets the new configuration before the gateway has it, and raises NotReadyError
        where the machine refuses something; `flush` sends what the gateway then has to say, `tell`
        is for the log.
        """
        self._path = path
        self._configuration = configuration
        self._gateway = gateway
        self._clock = clock
        self._own_networks = own_networks
        self._prepare = prepare
        self._flush = flush
        self._tell = tell
        self._lock = asyncio.Lock()
        self._storing = asyncio.Lock()

    async def answer(self, request: Request) -> Response:
        """Answer a request to reload, or to say what a reload would do (`dry_run`)."""
        try:
            found = await self.reload(dry_run=request.arguments.get("dry_run") is True)
        except (ConfigurationError, NotReadyError) as error:
            return Response(error=f"the reload is refused, all stays as it was:\n{error}")
        return Response(result=found.to_json())

    async def reload(self, dry_run: bool = False) -> Changes:
        """Take keys, users and departments from the file; return what changes.

        With `dry_run` all stays as it is. Raises ConfigurationError or NotReadyError, and then
        nothing has changed.
        """
        async with self._lock:
            try:
                # In a thread, so that packets go on while a large file is read.
                loaded = await asyncio.to_thread(load, self._path, await self._own_networks())
            except ConfigurationError as error:
                if not dry_run:
                    # They may quote what should have been a secret: they are for the log alone.
                    _log.error("server: the mistakes of the new configuration:\n%s", error)
                    self._refused(mistakes=len(error.problems))
                raise
            before, after = self._configuration, loaded.configuration
            found = changes(before, after, self._gateway)
            if dry_run:
                return found
            for warning in loaded.warnings:
                _log.warning("%s", warning)
            for section in found.sections:
                _log.warning("server: the changes in %s take effect at the next start", section)
            configuration = replace(_reloaded(before, after), directory=after.directory)
            try:
                await self._prepare(configuration)
            except NotReadyError as error:
                self._refused(why=str(error))
                raise
            self._configuration = configuration
            self._gateway.replace_credentials(self._configuration)
            ended = self._gateway.replace_directory(after.directory, self._clock())
            self._tell(
                Noted(
                    Stage.SERVER,
                    f"reloaded, {found.users} users, {ended} sessions ended by it",
                    happening=Happening.RELOADED,
                    facts={"users": found.users, "sessions_ended": ended},
                )
            )
            self._flush()
            return found

    async def change_password(self, name: str, password: str) -> str:
        """Write a user's new password to the file and serve it; return why not, if so.

        Then the old one holds: a configuration that could not be loaded is not written.
        """
        async with self._storing:
            try:
                check = partial(self._check, await self._own_networks())
                await asyncio.to_thread(set_password, self._path, name, password, check=check)
                await self.reload()
            except (EditError, NotReadyError) as error:
                return str(error)
            except ConfigurationError:
                # They may quote what should have been a secret.
                return "the configuration has mistakes, which 'l2gate check' shows"
        return ""

    def _check(self, own_networks: Sequence[AnyNetwork], texts: Mapping[Path, str]) -> None:
        load(self._path, own_networks, texts)

    def _refused(self, why: str = "", mistakes: int = 0) -> None:
        self._tell(
            Noted(
                Stage.SERVER,
                "reload refused, all stays as it was" + (f": {why}" if why else ""),
                trouble=True,
                happening=Happening.RELOAD_REFUSED,
                facts={"why": why} if why else {"mistakes": mistakes},
            )
        )


def _reloaded(before: Configuration, after: Configuration) -> Configuration:
    """Return the configuration that serves, with what a reload takes of SECTIONS."""
    return replace(
        before,
        server=replace(before.server, tun=after.server.tun),
        ipsec=before.ipsec.with_credentials(after.ipsec),
    )


def _difference(
    before: Mapping[str, Value], after: Mapping[str, Value]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return which names are new, which are gone, and which stand for something else."""
    return (
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
        tuple(sorted(name for name in before.keys() & after if before[name] != after[name])),
    )
