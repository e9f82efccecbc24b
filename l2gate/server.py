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
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, summarize_address_range
from pathlib import Path

from l2gate.configuration import Configuration, ConfigurationError, Loaded, load
from l2gate.control import ControlServer
from l2gate.events import (
    Noted,
    PasswordChangeRequested,
    RouteAdded,
    RouteRemoved,
    ShutdownFinished,
)
from l2gate.gateway import Gateway
from l2gate.network import Network, own_networks
from l2gate.operations import Operations
from l2gate.sockets import BoundSocket, Sockets, batches
from l2gate.tun import Tun

StorePassword = Callable[[str, str], None]
"""Write a user's new password to the configuration, and that it need not be changed any more.

Is given name and password; raises OSError or ConfigurationError if that cannot be done.
"""

_log = logging.getLogger("l2gate")


async def serve(path: Path) -> None:
    """Serve the configuration file `path` until SIGTERM or SIGINT.

    Raises ConfigurationError, ListenError, TunError, NetworkError or ControlError, whose texts
    are for the admin, if the server cannot start.
    """
    loaded = load(path, await own_networks())
    for warning in loaded.warnings:
        _log.warning("%s", warning)
    await Server(path, loaded.configuration, keep_password).run()


def keep_password(name: str, password: str) -> None:
    """Store nothing."""
    raise OSError(f"passwords such as that of {name!r} are changed by hand alone")


class Server:
    """One server and what it holds of the machine."""

    def __init__(
        self, path: Path, configuration: Configuration, store_password: StorePassword
    ) -> None:
        self._path = path
        self._configuration = configuration
        self._gateway = Gateway(configuration, os.urandom)
        self._store_password = store_password
        self._storing = asyncio.Lock()
        self._stores: set[asyncio.Task[None]] = set()
        self._finished = asyncio.Event()
        self._timer: TimerHandle | None = None
        self._loop: AbstractEventLoop
        self._sockets: Sockets
        self._tun: Tun
        self._network: Network
        self._reloading: asyncio.Task[bool] | None = None

    async def run(self) -> None:
        """Start, serve until told to stop, and leave the machine as it was."""
        self._loop = asyncio.get_running_loop()
        settings = self._configuration.server
        self._sockets = Sockets([str(host) for host in settings.listen])
        try:
            self._tun = Tun(settings.tun)
            try:
                await self._run_with_device()
            finally:
                self._tun.close()
        finally:
            self._sockets.close()

    async def _run_with_device(self) -> None:
        settings = self._configuration.server
        async with Network(self._tun.name) as self._network:
            await self._network.bring_up(self._configuration.ppp.mtu, self._gateways())
            self._network.set_pools(self._pools())
            operations = Operations(
                self._configuration, self._gateway, self._loop.time, time.time, self.flush
            )
            control = ControlServer(settings.control_socket, operations.handle)
            await control.start()
            try:
                await self._serve()
            finally:
                await control.close()
        _log.info("server: stopped")

    async def _serve(self) -> None:
        self._attach()
        try:
            settings = self._configuration.server
            _log.info(
                "server: %s is ready, listening on %s, device %s, %d users",
                settings.name,
                ", ".join(map(str, settings.listen)),
                self._tun.name,
                len(self._configuration.directory.users),
            )
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

    def _gateways(self) -> list[IPv4Address]:
        departments = self._configuration.directory.departments.values()
        return sorted({department.gateway for department in departments})

    def _pools(self) -> list[IPv4Network]:
        return [
            network
            for department in self._configuration.directory.departments.values()
            for part in department.pool.ranges
            for network in summarize_address_range(part.first, part.last)
        ]

    # What comes in

    def _on_socket(self, bound: BoundSocket) -> None:
        now = self._loop.time()
        receive = self._gateway.receive_udp if bound.local.port else self._gateway.receive_esp
        for batch in batches(bound.receive):
            for data, path in batch:
                receive(data, path, now)
        self.flush()

    def _on_tun(self) -> None:
        for batch in batches(self._tun.receive):
            for packet in batch:
                self._gateway.receive_inner(packet)
        self.flush()

    def _on_timer(self) -> None:
        self._timer = None
        self._gateway.handle_timeout(self._loop.time())
        self.flush()

    # What goes out

    def flush(self) -> None:
        """Send what the gateway has to send, note what it has to say, set the timer."""
        gateway, sockets = self._gateway, self._sockets
        gateway.settle(self._loop.time())
        for datagram in gateway.ike_datagrams():
            sockets.send([datagram.data], datagram.path)
        for peer, packets in gateway.forwarder.take_wire():
            if peer.encapsulated:
                sockets.send(packets, peer.path)
            else:
                sockets.send_esp(packets, peer.path)
        self._tun.send(gateway.forwarder.take_tun())
        while (event := gateway.next_event()) is not None:
            match event:
                case Noted():
                    _log.log(logging.WARNING if event.trouble else logging.INFO, "%s", event)
                case RouteAdded():
                    self._network.add_route(IPv4Network(event.address), event.gateway)
                case RouteRemoved():
                    self._network.remove_route(IPv4Network(event.address))
                case PasswordChangeRequested():
                    task = asyncio.create_task(self._change_password(event))
                    self._stores.add(task)
                    task.add_done_callback(self._stores.discard)
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
        _log.info("server: stopping, %d sessions to end", len(self._gateway.calls))
        self._gateway.shut_down(self._loop.time())
        self.flush()

    def _on_reload(self) -> None:
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reload())

    async def _change_password(self, event: PasswordChangeRequested) -> None:
        """Write a user's new password, serve it, and let the login go on, or say why not."""
        why_not = ""
        async with self._storing:
            try:
                await asyncio.to_thread(self._store_password, event.user, event.password)
            except (OSError, ConfigurationError) as error:
                why_not = str(error) or type(error).__name__
            else:
                if not await self._reload():
                    why_not = "it is in the file, which cannot be loaded"
        now = self._loop.time()
        self._gateway.password_stored(event.session, event.request, why_not, now)
        self.flush()

    async def _reload(self) -> bool:
        """Take users and departments from the file; a broken file changes nothing.

        Return whether that was done.
        """
        try:
            loaded = load(self._path, await own_networks(without=self._tun.name))
        except ConfigurationError as error:
            _log.error("server: reload refused, all stays as it was:\n%s", error)
            return False
        self._apply(loaded)
        return True

    def _apply(self, loaded: Loaded) -> None:
        for warning in loaded.warnings:
            _log.warning("%s", warning)
        before, after = self._configuration, loaded.configuration
        for section in ("server", "ipsec", "l2tp", "ppp"):
            if getattr(before, section) != getattr(after, section):
                _log.warning("server: the changes in %s take effect at the next start", section)
        self._configuration = replace(before, directory=after.directory)
        self._network.set_gateways(self._gateways())
        self._network.set_pools(self._pools())
        ended = self._gateway.replace_directory(after.directory, self._loop.time())
        users = len(after.directory.users)
        _log.info("server: reloaded, %d users, %d sessions ended by it", users, ended)
        self.flush()
