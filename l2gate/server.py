"""The running server: a gateway, and the sockets, the device and the clock that it works with.

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
from functools import partial
from ipaddress import summarize_address_range
from pathlib import Path

from aaa.radius.client import Server as RadiusServer
from l2gate.capture import Captures
from l2gate.configuration import Configuration, ConfigurationError, load
from l2gate.control import ControlServer
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
from l2gate.firewall import Firewall, Zone, remove_leftover
from l2gate.gateway import Gateway
from l2gate.keeper import Keeper, open_database
from l2gate.network import Address, Network, NetworkAddress, own_networks
from l2gate.operations import Operations
from l2gate.radius_sockets import DynamicListener, RadiusSockets
from l2gate.reloading import Reloader
from l2gate.sdnotify import Notifier
from l2gate.sockets import BoundSocket, Sockets, batches, without_ports
from l2gate.tun import Tun

_log = logging.getLogger("l2gate")


async def serve(path: Path) -> None:
    """Serve the configuration file `path` until SIGTERM or SIGINT.

    Raises ConfigurationError, ListenError, TunError, NetworkError, FirewallError or ControlError,
    whose texts are for the admin, if the server cannot start.
    """
    loaded = load(path, await own_networks())
    for warning in loaded.warnings:
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
        self._tun: Tun
        self._network: Network
        self._firewall: Firewall | None = None
        self._reloader: Reloader
        self._captures: Captures
        self._radius: RadiusSockets
        self._reloading: asyncio.Task[None] | None = None
        self._changes: set[asyncio.Task[None]] = set()
        self._notifier = Notifier()
        self._event_log: EventLog | None = None
        self._keeper: Keeper | None = None

    async def run(self) -> None:
        """Start, serve until told to stop, and leave the machine as it was."""
        self._loop = asyncio.get_running_loop()
        settings = self._configuration.server
        if settings.event_log is not None:
            self._event_log = EventLog(settings.event_log)
        try:
            await self._run_with_log()
        finally:
            if self._event_log is not None:
                self._event_log.close()

    async def _run_with_log(self) -> None:
        settings = self._configuration.server
        self._sockets = Sockets([str(host) for host in settings.listen])
        try:
            self._tun = Tun(settings.tun)
            try:
                await self._run_with_firewall()
            finally:
                self._tun.close()
        finally:
            self._sockets.close()

    async def _run_with_firewall(self) -> None:
        if not self._configuration.server.firewall:
            await remove_leftover()
            await self._run_with_device()
            return
        async with Firewall() as self._firewall:
            await self._firewall.bring_up(self._zones(), [self._tun.name])
            await self._run_with_device()

    async def _run_with_device(self) -> None:
        settings = self._configuration.server
        async with Network(self._tun.name) as self._network:
            await self._network.bring_up(self._configuration.ppp.mtu, self._gateways())
            self._network.set_pools(self._pools())
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
                partial(own_networks, without=self._tun.name),
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
                f"{settings.name} is ready, listening on {listen}, device {self._tun.name}, "
                f"{users} users",
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

    def _attach(self) -> None:
        for bound in self._sockets:
            self._loop.add_reader(bound.fileno(), self._on_socket, bound)
        self._loop.add_reader(self._tun.fileno(), self._on_tun)
        self._loop.add_signal_handler(signal.SIGTERM, self._on_stop)
        self._loop.add_signal_handler(signal.SIGINT, self._on_stop)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_reload)

    def _detach(self) -> None:
        for descriptor in (*self._sockets, self._tun):
            self._loop.remove_reader(descriptor.fileno())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.remove_signal_handler(number)
        if self._timer is not None:
            self._timer.cancel()

    def _zones(self) -> list[Zone]:
        return [Zone.of(each) for each in self._configuration.directory.departments.values()]

    def _gateways(self) -> list[Address]:
        departments = self._configuration.directory.departments.values()
        gateways: set[Address] = {department.gateway for department in departments}
        return [*gateways, *(d.gateway6 for d in departments if d.gateway6 is not None)]

    def _pools(self) -> list[NetworkAddress]:
        departments = self._configuration.directory.departments.values()
        pools: list[NetworkAddress] = [
            network
            for department in departments
            for part in department.pool.ranges
            for network in summarize_address_range(part.first, part.last)
        ]
        pools += [d.pool6 for d in departments if d.pool6 is not None]
        users = self._configuration.directory.users.values()
        return pools + [network for user in users for network in user.routes]

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

    def _on_tun(self) -> None:
        self._gateway.tables.now = self._loop.time()
        for batch in batches(self._tun.receive):
            for packet in batch:
                self._gateway.receive_inner(packet)
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
        self._tun.send(gateway.forwarder.take_tun())
        for request in gateway.radius_datagrams():
            self._radius.send(request)
        while (event := gateway.next_event()) is not None:
            match event:
                case Noted():
                    self._tell(event)
                case RouteAdded():
                    self._network.add_route(event.network, event.gateway, event.proxy_arp)
                    if self._firewall is not None:
                        self._firewall.add(event.department, event.network)
                case RouteRemoved():
                    self._network.remove_route(event.network)
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
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reload())

    async def _reload(self) -> None:
        """Take keys, users and departments from the file; what is wrong with it is in the log."""
        self._notifier.reloading(time.monotonic())
        with suppress(ConfigurationError):
            await self._reloader.reload()
        self._notifier.ready(self._status())

    async def _change_password(self, event: PasswordChangeRequested) -> None:
        """Store and serve a user's new password, and let the login go on."""
        why_not = await self._reloader.change_password(event.user, event.password)
        now = self._loop.time()
        self._gateway.password_stored(event.session, event.request, why_not, now)
        self.flush()

    def _prepare(self, configuration: Configuration) -> None:
        """Let the network have what the gateway will want of it."""
        self._configuration = configuration
        self._network.set_gateways(self._gateways())
        self._network.set_pools(self._pools())
        if self._firewall is not None:
            self._firewall.replace(self._zones(), [self._tun.name])

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
