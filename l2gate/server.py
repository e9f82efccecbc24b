"""The running server: a gateway, and the sockets, the devices and the clock that it works with.

One asyncio loop. Readers empty their descriptor in batches with a budget and then flush: the
gateway settles, what it wants sent goes out, and the one timer is set anew. No packet has a
callback of its own (see `sockets.batches`).
"""

import asyncio
import gc
import logging
import os
import signal
import time
from asyncio import AbstractEventLoop, TimerHandle
from contextlib import nullcontext, suppress
from pathlib import Path

from aaa.radius.client import Server as RadiusServer
from l2gate.capture import Captures
from l2gate.configuration import Configuration, ConfigurationError, load
from l2gate.control import ControlServer
from l2gate.devices import Devices
from l2gate.event_log import EventLog
from l2gate.events import (
    Fact,
    Happening,
    NetworkUp,
    Noted,
    PasswordChangeRequested,
    RouteAdded,
    RouteRemoved,
    SessionBegun,
    SessionEnded,
    ShutdownFinished,
    Stage,
)
from l2gate.firewall import Firewall, FirewallError, Zone, remove_leftover
from l2gate.gateway import Gateway
from l2gate.keeper import Keeper, open_database
from l2gate.network import NetworkError, own_networks
from l2gate.operations import Operations
from l2gate.radius_sockets import DynamicListener, RadiusSockets
from l2gate.reloading import NotReadyError, Reloader
from l2gate.rights import check_rights, drop_privileges
from l2gate.sdnotify import Notifier
from l2gate.sockets import BoundSocket, Sockets, batches, without_ports
from l2gate.tun import Tun, TunError

_log = logging.getLogger("l2gate")


async def serve(path: Path) -> None:
    """Serve the configuration file `path` until SIGTERM or SIGINT.

    Raises ConfigurationError, ListenError, TunError, PrivilegeError, NetworkError, FirewallError or
    ControlError, whose texts are for the admin, if the server cannot start.
    """
    networks = await own_networks()
    loaded = load(path, networks)
    for warning in (*loaded.warnings, *check_rights(path, loaded, networks)):
        _log.warning("%s", warning)
    await Server(path, loaded.configuration).run()


class Server:
    """One server and what it holds of the machine."""

    def __init__(self, path: Path, configuration: Configuration) -> None:
        self._path = path
        self._configuration = configuration
        self._gateway = Gateway(configuration, os.urandom, time.time)
        self._finished = asyncio.Event()
        self._timer: TimerHandle | None = None
        self._loop: AbstractEventLoop
        self._sockets: Sockets
        self._devices = Devices(configuration.ppp.mtu, self._on_tun)
        self._firewall: Firewall | None = None
        self._reloader: Reloader
        self._captures: Captures
        self._radius: RadiusSockets
        self._reloading: asyncio.Task[None] | None = None
        self._reload_again = False
        self._changes: set[asyncio.Task[None]] = set()
        self._notifier = Notifier()
        self._event_log: EventLog | None = None
        self._keeper: Keeper | None = None

    async def run(self) -> None:
        """Start, serve until told to stop, and leave the machine as it was."""
        self._loop = asyncio.get_running_loop()
        settings = self._configuration.server
        self._sockets = Sockets([str(host) for host in settings.listen])
        try:
            self._devices.open(self._configuration.directory)
            drop_privileges(self._configuration)
            await self._run_with_log()
        finally:
            self._devices.close()
            self._sockets.close()

    async def _run_with_log(self) -> None:
        settings = self._configuration.server
        if settings.event_log is not None:
            self._event_log = EventLog(settings.event_log)
        try:
            await self._run_with_firewall()
        finally:
            if self._event_log is not None:
                self._event_log.close()

    async def _run_with_firewall(self) -> None:
        if not self._configuration.server.firewall:
            await remove_leftover()
            await self._run_with_devices()
            return
        async with Firewall() as self._firewall:
            zones = _zones(self._configuration)
            await self._firewall.bring_up(zones, self._devices.names)
            await self._run_with_devices()

    async def _run_with_devices(self) -> None:
        settings, directory = self._configuration.server, self._configuration.directory
        async with self._devices:
            await self._devices.bring_up(directory, self._devices.names)
            await self._devices.follow(directory)
            state = self._configuration.state
            if state is not None:
                self._keeper = Keeper(
                    state,
                    open_database(state),
                    self._gateway,
                    self._loop.time,
                    time.time,
                    self.flush,
                )
            self._reloader = Reloader(
                self._path,
                self._configuration,
                self._gateway,
                self._loop.time,
                lambda: own_networks(without=self._devices.names),
                self._prepare,
                self.flush,
                self._tell,
            )
            operations = Operations(
                self._configuration,
                self._gateway,
                self._loop.time,
                time.time,
                self.flush,
                self._reloader.answer,
                None if self._keeper is None else self._keeper.history,
                None if self._keeper is None else self._keeper.status,
                self._lost,
            )
            self._captures = operations.captures
            control = ControlServer(settings.control_socket, operations.handle)
            await control.start()
            try:
                # Once the keeper is there it may want to send something.
                async with self._keeper or nullcontext():
                    await self._serve_with_radius()
            finally:
                await control.close()
        _log.info("server: stopped")

    def _lost(self) -> dict[str, int]:
        """Count the packets that the kernel has not taken from us, by reason."""
        lost = {f"not sent: {error}": count for error, count in self._sockets.drops.items()}
        if self._devices.drops:
            lost["not taken by the kernel"] = self._devices.drops
        return lost

    async def _serve_with_radius(self) -> None:
        self._radius = RadiusSockets(self._loop, self._on_radius, self.flush)
        radius = self._configuration.radius
        listener = None
        if radius is not None and radius.dynamic is not None:
            listener = DynamicListener(self._loop, radius.dynamic, self._on_dynamic, self.flush)
        try:
            await self._serve()
        finally:
            self._radius.close()
            if listener is not None:
                listener.close()

    async def _serve(self) -> None:
        self._attach()
        self.flush()
        try:
            settings = self._configuration.server
            users = len(self._configuration.directory.users)
            listen = ", ".join(map(str, settings.listen))
            self._note(
                f"{settings.name} is ready, listening on {listen}, "
                f"device {', '.join(self._devices.names)}, users: {users}",
                Happening.SERVER_READY,
                name=settings.name,
                users=users,
            )
            self._notifier.ready(self._status())
            self._watch()
            # What is there now lives as long as the server: not worth looking through again.
            gc.freeze()
            await self._finished.wait()
        finally:
            self._detach()
            await self._abandon()

    def _attach(self) -> None:
        for bound in self._sockets:
            self._loop.add_reader(bound.fileno(), self._on_socket, bound)
        self._devices.attach(self._loop)
        self._loop.add_signal_handler(signal.SIGTERM, self._on_stop)
        self._loop.add_signal_handler(signal.SIGINT, self._on_stop)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_reload)

    def _detach(self) -> None:
        for bound in self._sockets:
            self._loop.remove_reader(bound.fileno())
        self._devices.detach()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.remove_signal_handler(number)
        if self._timer is not None:
            self._timer.cancel()

    async def _abandon(self) -> None:
        """End a reload and changes of passwords: what they would change is about to be undone."""
        tasks = [*self._changes, *filter(None, [self._reloading])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # What comes in

    def _on_socket(self, bound: BoundSocket) -> None:
        now = self._loop.time()
        receive = self._gateway.receive_udp if bound.local.port else self._gateway.receive_esp
        for batch in batches(bound.receive):
            for data, path in batch:
                receive(data, path, now)
            if self._captures:
                self._gateway.settle(now)
                self._captures.received(batch, time.time())
        self.flush()

    def _on_tun(self, tun: Tun) -> None:
        self._gateway.tables.now = self._loop.time()
        for batch in batches(tun.receive):
            for packet in batch:
                self._gateway.receive_inner(packet, tun.name)
        self.flush()

    def _on_radius(self, data: bytes, server: RadiusServer, channel: int) -> None:
        self._gateway.receive_radius(data, server, channel, self._loop.time())

    def _on_dynamic(self, data: bytes, host: str) -> bytes | None:
        return self._gateway.receive_dynamic(data, host, self._loop.time())

    def _on_timer(self) -> None:
        self._timer = None
        self._gateway.handle_timeout(self._loop.time())
        self.flush()

    # What goes out

    def flush(self) -> None:
        """Send what the gateway has to send, note what it has to say, set the timer."""
        gateway, sockets, captures = self._gateway, self._sockets, self._captures
        gateway.settle(self._loop.time())
        for datagram in gateway.ike_datagrams():
            sockets.send([datagram.data], datagram.path)
            if captures:
                captures.sent([datagram.data], datagram.path, time.time())
        for peer, packets in gateway.forwarder.take_wire():
            if peer.encapsulated:
                sockets.send(packets, peer.path)
            else:
                sockets.send_esp(packets, peer.path)
            if captures:
                path = peer.path if peer.encapsulated else without_ports(peer.path)
                captures.sent(packets, path, time.time())
        self._devices.send(gateway.forwarder.take_tun())
        for request in gateway.radius_datagrams():
            self._radius.send(request)
        while (event := gateway.next_event()) is not None:
            match event:
                case Noted():
                    self._tell(event)
                case RouteAdded():
                    self._devices.route(event)
                    if self._firewall is not None:
                        self._firewall.add(event.department, event.network)
                case RouteRemoved():
                    self._devices.route(event)
                    if self._firewall is not None:
                        self._firewall.remove(event.department, event.network)
                case PasswordChangeRequested():
                    change = asyncio.create_task(self._change_password(event))
                    self._changes.add(change)
                    change.add_done_callback(self._changes.discard)
                case SessionBegun() | NetworkUp() | SessionEnded():
                    if self._keeper is not None:
                        self._keeper.take(event)
                case ShutdownFinished():
                    self._finished.set()
        self._set_timer()

    def _set_timer(self) -> None:
        due = self._gateway.next_timeout()
        if self._timer is not None:
            if self._timer.when() == due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._on_timer)

    # What the admin wants

    def _on_stop(self) -> None:
        """End politely; the second signal ends at once."""
        if self._gateway.stopping:
            self._finished.set()
            return
        sessions = len(self._gateway.calls)
        self._notifier.stopping(f"{sessions} sessions to end")
        self._note(
            f"stopping, {sessions} sessions to end", Happening.SERVER_STOPPING, sessions=sessions
        )
        self._gateway.shut_down(self._loop.time())
        self.flush()

    def _on_reload(self) -> None:
        if self._event_log is not None:
            self._event_log.reopen()
        self._reload_again = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reload())

    async def _reload(self) -> None:
        """Take keys, users and departments from the file; what is wrong with it is in the log.

        Once more if asked to meanwhile: the file may have changed after it was read.
        """
        while self._reload_again:
            self._reload_again = False
            self._notifier.reloading(time.monotonic())
            with suppress(ConfigurationError, NotReadyError):
                await self._reloader.reload()
            self._notifier.ready(self._status())

    async def _change_password(self, event: PasswordChangeRequested) -> None:
        """Store and serve a user's new password, and let the login go on."""
        why_not = await self._reloader.change_password(event.user, event.password)
        now = self._loop.time()
        self._gateway.password_stored(event.session, event.request, why_not, now)
        self.flush()

    async def _prepare(self, configuration: Configuration) -> None:
        """Let the network have what the gateway will want of it. Raises NotReadyError.

        The firewall knows a device as long as anybody can be behind it.
        """
        directory = configuration.directory
        try:
            added = await self._devices.add(directory)
            try:
                if self._firewall is not None:
                    await self._firewall.replace(_zones(configuration), self._devices.names)
            except FirewallError:
                await self._devices.remove(added)
                raise
        except (TunError, NetworkError, FirewallError) as error:
            raise NotReadyError(str(error)) from error
        self._configuration = configuration
        gone = await self._devices.follow(directory)
        if self._firewall is not None:
            self._firewall.forget_devices(gone)

    # What it says

    def _tell(self, noted: Noted) -> None:
        _log.log(logging.WARNING if noted.trouble else logging.INFO, "%s", noted)
        self._write(noted)

    def _write(self, noted: Noted) -> None:
        if self._event_log is not None:
            self._event_log.write(noted, time.time())

    def _note(self, text: str, happening: Happening, **facts: Fact) -> None:
        self._tell(Noted(Stage.SERVER, text, happening=happening, facts=facts))

    def _status(self) -> str:
        return f"{len(self._gateway.calls)} sessions, {len(self._gateway.peers)} peers"

    def _watch(self) -> None:
        """Show systemd that the loop turns, as often as it wants to see it."""
        if self._notifier.watchdog is not None and not self._finished.is_set():
            self._notifier.alive(self._status())
            self._loop.call_later(self._notifier.watchdog, self._watch)


def _zones(configuration: Configuration) -> list[Zone]:
    return [Zone.of(each) for each in configuration.directory.departments.values()]
