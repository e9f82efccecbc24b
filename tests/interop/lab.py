"""The lab: network namespaces, and user-mode-linux machines that run the real VPN clients.

    direct clients 198.51.100.11.. ──┐
                                     wan (a bridge) ── server 198.51.100.1
    clients 192.168.77.11.. ── home ─┘                 192.168.1.1 ── hq 192.168.1.80
       (a router that masquerades as 198.51.100.2)
    branch 10.9.0.80 ── a client that is a router, 10.9.0.1

No namespace has a way out to the host's own network. The machines' root is the host's, read only,
beneath the client packages that prepare.sh unpacked (see uml/init.sh). Every process of the lab
runs inside a namespace of the lab, so what is in there, and nothing else, is ended with it; and
namespaces are named after the process that made them, so that a later run finds what an earlier
one could not clear away.
"""

import contextlib
import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache" / "lab"

SERVER = "198.51.100.1"
ROUTER = "198.51.100.2"
HEADQUARTERS = "192.168.1.80"
BRANCH = "10.9.0.80"

BRIDGE_MAC = "02:00:00:00:00:01"

_PREFIX = "l2gate-lab-"
_NAMESPACES = ("wan", "server", "home", "hq", "branch")


def run(*command: str, timeout: float = 30) -> str:
    """Run a command to its end; returns its standard output.

    Raises CalledProcessError, with all that it printed, where it fails.
    """
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
    )
    if done.returncode:
        error = subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        error.add_note(done.stdout + done.stderr)
        raise error
    return done.stdout


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Return once `condition()` is true; TimeoutError naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


def remove_leftovers() -> None:
    """Remove the namespaces, and the processes in them, of runs that are over."""
    for name in re.findall(rf"^{_PREFIX}\d+-\w+", run("ip", "netns"), re.MULTILINE):
        owner = int(name.removeprefix(_PREFIX).split("-")[0])
        if owner == os.getpid() or not Path(f"/proc/{owner}").exists():
            _remove_namespace(name)


def _remove_namespace(name: str) -> None:
    def processes() -> list[int]:
        return [int(pid) for pid in run("ip", "netns", "pids", name).split()]

    def gone() -> bool:
        for pid in processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not processes()

    wait_for(gone, 10, f"the end of the processes in {name}")
    run("ip", "netns", "delete", name)


def _machine_memory() -> str:
    """Where user-mode-linux keeps its memory, as a file that it maps and runs code from."""
    shared = os.statvfs("/dev/shm")
    usable = not shared.f_flag & os.ST_NOEXEC and shared.f_bavail * shared.f_frsize > 2**31
    return "/dev/shm" if usable else "/tmp"  # containers have a /dev/shm that is neither


class Lab:
    """The network. `directory` takes the state of all that is started in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._processes: list[subprocess.Popen[bytes]] = []

    def namespace(self, name: str) -> str:
        return f"{_PREFIX}{os.getpid()}-{name}"

    def up(self) -> None:
        remove_leftovers()
        for name in _NAMESPACES:
            run("ip", "netns", "add", self.namespace(name))
            self.run(name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            self.run(name, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
            self.run(name, "ip", "link", "set", "lo", "up")
        for name in ("wan", "home"):
            # With an address of its own: else it has the lowest of its ports, and the machines'
            # neighbour entries for the router are wrong for a while when one is switched on.
            bridge = ("br0", "address", BRIDGE_MAC, "up", "type", "bridge", "forward_delay", "0")
            self.run(name, "ip", "link", "add", *bridge)
        self._cable("server", "wan0", "wan", "server")
        self._cable("home", "wan0", "wan", "home")
        self._cable("server", "hq0", "hq", "hq0")
        for port in ("server", "home"):
            self.run("wan", "ip", "link", "set", port, "master", "br0")
        for name, interface, address in (
            ("server", "wan0", f"{SERVER}/24"),
            ("server", "hq0", "192.168.1.1/24"),
            ("home", "wan0", f"{ROUTER}/24"),
            ("home", "br0", "192.168.77.1/24"),
            ("hq", "hq0", f"{HEADQUARTERS}/24"),
        ):
            self.run(name, "ip", "address", "add", address, "dev", interface)
        # Cut up what UDP_SEGMENT sends before tcpdump sees it, as it will be on a wire.
        self.run("server", "ip", "link", "set", "wan0", "gso_max_segs", "1")
        self.run("hq", "ip", "route", "add", "default", "via", "192.168.1.1")
        self.run("home", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        masquerade = (
            "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; };"
            'add rule ip nat out oifname "wan0" masquerade'
        )
        self.run("home", "nft", masquerade)
        self.start("hq", sys.executable, str(HERE / "transfer.py"), "serve", log="transfer.log")

    def down(self) -> None:
        for name in _NAMESPACES:
            if Path("/run/netns", self.namespace(name)).exists():
                _remove_namespace(self.namespace(name))
        for process in self._processes:
            process.wait(timeout=10)
            if process.stdin is not None:
                process.stdin.close()

    def _cable(self, one: str, one_end: str, other: str, other_end: str) -> None:
        peer = ("type", "veth", "peer", "name", other_end, "netns", self.namespace(other))
        self.run(one, "ip", "link", "add", one_end, "up", *peer)
        self.run(other, "ip", "link", "set", other_end, "up")

    def run(self, namespace: str, *command: str, timeout: float = 30) -> str:
        """Run a command in a namespace (wan, server, home, hq or branch), as `run` does."""
        return run("ip", "netns", "exec", self.namespace(namespace), *command, timeout=timeout)

    def start(
        self, namespace: str, *command: str, log: str | Path, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a command in a namespace; its output goes to the file `log`."""
        with (self.directory / log).open("wb") as output:
            process = subprocess.Popen(
                ("ip", "netns", "exec", self.namespace(namespace), *command),
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TMPDIR": _machine_memory()},
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    @contextlib.contextmanager
    def capture(self, name: str) -> Iterator[Path]:
        """Record what passes on the server's outer interface: IKE and ESP, and any L2TP in clear.

        Yields the file, which is complete once the context is left.
        """
        path, log = self.directory / f"{name}.pcap", self.directory / f"{name}.tcpdump.log"
        what = "udp port 500 or udp port 4500 or udp port 1701 or esp"
        tcpdump = ("tcpdump", "-Z", "root", "-i", "wan0", "--immediate-mode", "-U", "-w", str(path))
        process = self.start("server", *tcpdump, what, log=log)
        wait_for(lambda: "listening on" in log.read_text(), 10, "tcpdump listening")
        try:
            yield path
        finally:
            time.sleep(0.3)  # what was sent last is still on its way to tcpdump
            process.terminate()
            process.wait(timeout=10)


class Machine:
    """One user-mode-linux in the lab.

    It is named after its place: d1, d2 and so on have an address of the wan, n1, n2 and so on are
    behind the home router. `layers` are the trees of .cache/lab that are laid over the host's root.
    A router has a second card, with the branch behind it.
    """

    def __init__(
        self, lab: Lab, name: str, layers: tuple[str, ...], *, is_router: bool = False
    ) -> None:
        self.lab, self.name, self._layers, self._is_router = lab, name, layers, is_router
        number = 10 + int(name[1:])
        behind_router = name.startswith("n")
        self.address = f"192.168.77.{number}" if behind_router else f"198.51.100.{number}"
        self._namespace, self._gateway = (
            ("home", "192.168.77.1") if behind_router else ("wan", "none")
        )
        self._directory = lab.directory / name
        self._share = self._directory / "share"
        self._ids = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        arguments = [self._card(0), f"ADDRESS={self.address}/24", f"GATEWAY={self._gateway}"]
        self.lab.run(self._namespace, "ip", "link", "set", self._tap(0), "master", "br0", "up")
        if self._is_router:
            arguments += [self._card(1), "BRANCH=10.9.0.1/24"]
        self._share.mkdir(parents=True, exist_ok=True)
        for stale in self._share.iterdir():
            stale.unlink()
        layers = ":".join(str(CACHE / layer) for layer in self._layers)
        self._process = self.lab.start(
            self._namespace,
            "linux.uml",
            "mem=256M",
            "quiet",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            f"init={HERE / 'uml' / 'init.sh'}",
            f"umid={self.name}",
            f"uml_dir={self._directory}",
            "con=null",
            "con0=fd:0,fd:1",
            f"NAME={self.name}",
            f"LAYERS={layers}",
            f"SHARE={self._share}",
            *arguments,
            log=self._directory / "console.log",
            stdin=subprocess.PIPE,
        )
        ready, process = self._share / "ready", self._process
        wait_for(lambda: ready.exists() or process.poll() is not None, 60, f"{self.name} booting")
        if not ready.exists():
            raise RuntimeError((self._directory / "console.log").read_text(errors="replace"))
        if self._is_router:
            self._connect_branch()

    def _tap(self, card: int) -> str:
        return f"tap-{self.name}-{card}"

    def _card(self, card: int) -> str:
        """Make the lab's end of a network card; returns the machine's argument for it."""
        tap = self._tap(card)
        what = ("dev", tap, "mode", "tap", "vnet_hdr")
        self.lab.run(self._namespace, "ip", "tuntap", "add", *what)
        mac = f"02:00:00:{card:02x}:{ord(self.name[0]):02x}:{int(self.name[1:]):02x}"
        return f"vec{card}:transport=tap,ifname={tap},depth=128,gro=1,mac={mac}"

    def _connect_branch(self) -> None:
        """Let the lab's end of the second card be a host of the branch."""
        tap, branch = self._tap(1), self.lab.namespace("branch")
        self.lab.run(self._namespace, "ip", "link", "set", tap, "netns", branch)
        self.lab.run("branch", "ip", "link", "set", tap, "up")
        self.lab.run("branch", "ip", "address", "add", f"{BRANCH}/24", "dev", tap)
        self.lab.run("branch", "ip", "route", "add", "default", "via", "10.9.0.1")

    def cut_power(self) -> None:
        """End the machine in the middle of whatever it does."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)
        self._process = None
        self.lab.run(self._namespace, "ip", "link", "delete", self._tap(0))
        if self._is_router:
            self.lab.run("branch", "ip", "link", "delete", self._tap(1))

    def run(self, command: str, timeout: float = 30, check: bool = True) -> str:
        """Run a shell command in the machine; returns what it printed.

        Raises CalledProcessError where the command fails (unless `check` is False), TimeoutError
        where the machine does not answer.
        """
        if self._process is None or self._process.stdin is None:
            raise RuntimeError(f"{self.name} is off")
        job = self._share / str(next(self._ids))
        job.with_suffix(".sh").write_text(command)
        self._process.stdin.write(f"{job.name}\n".encode())
        self._process.stdin.flush()
        status = job.with_suffix(".status")
        wait_for(lambda: status.exists() and status.read_text(), timeout, f"{self.name}: {command}")
        output = job.with_suffix(".out").read_text(errors="replace")
        if check and status.read_text() != "0\n":
            error = subprocess.CalledProcessError(int(status.read_text()), command, output)
            error.add_note(output)
            raise error
        return output


class LoginFailed(Exception):  # noqa: N818 (past tense, as every event)
    """A client could not connect; `stage` is where: ike, l2tp, authentication, ppp or start."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"the client did not get past {stage}")
        self.stage = stage


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in, and how the client is configured: see uml/client.sh for the settings."""

    user: str
    password: str
    psk: str
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connection:
    """What pppd was given."""

    interface: str
    address: str
    gateway: str
    dns: tuple[str, ...]


class Client:
    """The VPN client of a machine: `software` is strongswan or libreswan, with xl2tpd and pppd."""

    def __init__(
        self, lab: Lab, name: str, software: str = "strongswan", *, is_router: bool = False
    ) -> None:
        self.machine = Machine(lab, name, (software, "ppp"), is_router=is_router)
        self.software = software

    def connect(self, login: Login, timeout: float = 60) -> Connection:
        """Connect as a user would; LoginFailed names the stage that was not passed."""
        settings = {
            "CLIENT": self.software,
            "ADDRESS": self.machine.address,
            "SERVER": SERVER,
            "PSK": login.psk,
            "LOGIN": login.user,
            "PASSWORD": login.password,
        } | login.settings
        exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
        command = f"export {exports}; . {HERE / 'uml' / 'client.sh'} up"
        output = self.machine.run(command, timeout, check=False)
        facts = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
        if "address" not in facts:
            failure = LoginFailed(facts.get("stage", "start"))
            failure.add_note(output)
            failure.add_note(self.logs())
            raise failure
        dns = tuple(facts["dns"].split())
        return Connection(facts["interface"], facts["address"], facts["gateway"], dns)

    def hang_up(self) -> None:
        """Hang up politely, the session first, and stop the client. Harmless where it is not up."""
        script = f"CLIENT={self.software}; . {HERE / 'uml' / 'client.sh'} down"
        self.machine.run(script, timeout=45)

    def log(self, name: str) -> str:
        """A log of the last connection: ike.log, xl2tpd.log or pppd.log."""
        return self.machine.run(f"cat /run/log/{name}", check=False)

    def logs(self) -> str:
        """All of them, each beneath its name."""
        return self.machine.run("cd /run/log; tail -n +1 ike.log xl2tpd.log pppd.log", check=False)

    def ipsec_keys(self) -> str:
        """The client's IPsec SAs with their keys, as `ip xfrm state` prints them."""
        return self.machine.run("ip xfrm state")

    def ping(self, host: str = HEADQUARTERS, count: int = 10) -> str:
        """Ping a host; returns the two lines of statistics."""
        output = self.machine.run(f"ping -q -c {count} -i 0.1 -W 10 {host}", check=False)
        return output.partition("ping statistics ---\n")[2]

    def transfer(self, direction: str, size: int, host: str = HEADQUARTERS) -> None:
        """Send ("put") or fetch ("get") `size` octets by TCP; raises if their hash differs."""
        script = f"python3 {HERE / 'transfer.py'} {direction} {host} {size}"
        self.machine.run(script, timeout=100)
