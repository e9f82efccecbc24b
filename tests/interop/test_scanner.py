"""What ike-scan and psk-crack find out about the server, with each set of proposals."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.lab import wait_for
from tests.interop.server import PSK, configuration
from tests.support.namespaces import new_namespace
from tests.support.prerequisites import need

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parents[2]

SERVER = "127.0.0.1"
GROUP_KEY = "tuesday"
WORDS = ("monday", GROUP_KEY, "wednesday", PSK)

RFC3947 = "4a131c81070358455c5728f20e95452f"
DPD = "afcad71368a1f1c96b8696fc77570100"
FRAGMENTATION = "4048b7d56ebce88525e7de7f00d6c2d380000000"
XAUTH = "09002689dfd6b712"

TRANSFORMS = {
    "(1=7,14=256,2=4,3=1,4=14)": ("strict", "AES", "SHA2-256", "modp2048"),
    "(1=7,14=128,2=5,3=1,4=20)": ("strict", "AES", "SHA2-384", "ecp384"),
    "(1=7,14=256,2=2,3=1,4=14)": ("default", "AES", "SHA1", "modp2048"),
    "(1=7,14=128,2=2,3=1,4=19)": ("default", "AES", "SHA1", "ecp256"),
    "(1=5,2=2,3=1,4=14)": ("default", "3DES", "SHA1", "modp2048"),
    "(1=5,2=2,3=1,4=5)": ("default", "3DES", "SHA1", "modp1536"),
    "(1=5,2=2,3=1,4=2)": ("legacy", "3DES", "SHA1", "modp1024"),
    "(1=7,14=256,2=1,3=1,4=14)": ("legacy", "AES", "MD5", "modp2048"),
    "(1=1,2=1,3=1,4=1)": ("never", "DES", "MD5", "modp768"),
    "(1=1,2=2,3=1,4=2)": ("never", "DES", "SHA1", "modp1024"),
    "(1=7,14=256,2=4,3=3,4=14)": ("never", "AES", "SHA2-256", "modp2048"),
    "(1=7,14=256,2=4,3=65001,4=14)": ("never", "AES", "SHA2-256", "modp2048"),
}
"""Typical transforms, the strictest proposals that accept each, and how ike-scan prints it. The
last two are with certificates and with XAUTH."""

SETS = ("strict", "default", "legacy")

Scan = Callable[..., str]


def missing() -> str:
    if os.geteuid() != 0:
        return "needs root"
    tools = [tool for tool in ("ike-scan", "psk-crack") if shutil.which(tool) is None]
    if tools:
        return f"needs {', '.join(tools)}: run 'make setup'"
    return "" if Path("/dev/net/tun").exists() else "needs /dev/net/tun"


@contextmanager
def serving(directory: Path, **ipsec: object) -> Iterator[Scan]:
    """Run a server with these settings of `ipsec` where there is nothing but a loopback.

    Yields what runs ike-scan against it and returns its output.
    """
    need(missing())
    path, log = directory / "l2gate.yaml", directory / "log"
    path.write_text(json.dumps(configuration(directory, ipsec=ipsec)))
    path.chmod(0o600)
    serve = (sys.executable, "-m", "l2gate", "serve", "--config", str(path))
    with new_namespace() as network:

        def scan(*arguments: str) -> str:
            command = ("ike-scan", "--nodns", "--sport=0", "--retry=1", *arguments, SERVER)
            with network:
                return subprocess.run(command, check=True, capture_output=True, text=True).stdout

        with network, log.open("wb") as output:
            server = subprocess.Popen(serve, stdout=output, stderr=output, cwd=ROOT)
        try:
            wait_for(lambda: "is ready" in log.read_text(), 20, "the server's start")
            yield scan
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=10)
            print(f"--- server\n{log.read_text()}")


@pytest.fixture(scope="module", params=SETS)
def proposals(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def scan(proposals: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scan]:
    """A scanner of a server with this set of proposals, and with no groups."""
    with serving(tmp_path_factory.mktemp("server"), proposals=proposals) as scanner:
        yield scanner


def test_transforms_of_main_mode(scan: Scan, proposals: str) -> None:
    found = {}
    for transform, (least, *names) in TRANSFORMS.items():
        output = scan(f"--trans={transform}")
        if accepted := "Main Mode Handshake returned" in output:
            assert all(name in output for name in names), output
        else:
            assert "NO-PROPOSAL-CHOSEN" in output, output
        found[transform] = accepted, least
    strictness = (*SETS, "never")
    assert found == {
        transform: (strictness.index(least) <= SETS.index(proposals), least)
        for transform, (least, *_) in TRANSFORMS.items()
    }


def test_vendor_ids_are_those_that_were_offered(scan: Scan) -> None:
    transform = "--trans=(1=7,14=256,2=4,3=1,4=14)"
    assert "VID=" not in scan(transform), "nothing says which software this is"
    offered = (RFC3947, DPD, FRAGMENTATION, XAUTH)
    output = scan(transform, *(f"--vendor={vendor_id}" for vendor_id in offered))
    assert re.findall("VID=([0-9a-f]+)", output) == [RFC3947, DPD, FRAGMENTATION]
    assert "RFC 3947 NAT-T" in output
    assert "Dead Peer Detection" in output


def test_aggressive_mode_is_off(scan: Scan, tmp_path: Path) -> None:
    hashes = tmp_path / "hashes"
    for name in ("branch", "vpn", ""):
        output = scan("--aggressive", f"--id={name}", f"--pskcrack={hashes}")
        assert "UNSUPPORTED-EXCHANGE-TYPE" in output
        assert "0 returned handshake; 1 returned notify" in output
    assert not hashes.exists() or not hashes.read_text()


def test_ikev2_is_refused_by_its_version(scan: Scan) -> None:
    assert "INVALID-MAJOR-VERSION" in scan("--ikev2")


def test_a_group_gives_a_hash_to_whoever_names_it(tmp_path: Path) -> None:
    """psk-crack, which shares nothing with this project, finds the key in it: HASH_R is right."""
    hashes, words = tmp_path / "hashes", tmp_path / "words"
    words.write_text("\n".join(WORDS))
    aggressive = ("--aggressive", "--dhgroup=14", "--trans=(1=7,14=256,2=2,3=1,4=14)")
    with serving(tmp_path, keys=[{"group": "branch", "psk": GROUP_KEY}]) as scan:
        stranger = scan(*aggressive, "--id=sales")
        member = scan(*aggressive, "--id=branch", f"--pskcrack={hashes}")
    assert "0 returned handshake; 1 returned notify" in stranger
    assert "Aggressive Mode Handshake returned" in member
    crack = ("psk-crack", f"--dictionary={words}", str(hashes))
    cracked = subprocess.run(crack, check=True, capture_output=True, text=True).stdout
    assert f'key "{GROUP_KEY}" matches' in cracked
