"""What `l2gate init` writes, and how clients connect to it."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from l2gate.configuration.section import Expected
from l2gate.configuration.values import host_name

UNAMBIGUOUS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Letters and digits without those that look alike (0 O o, 1 I l): people type them on phones."""

PSK_LENGTH = 24
PASSWORD_LENGTH = 16
USER = "l2tpuser"
PSK_FILE = "psk"
STATE_DIRECTORY = Path("/var/lib/l2gate")

NETWORKS = ("172.16.9.0/24", "10.99.9.0/24", "192.168.209.0/24")
"""For the clients: the first that this server is not in already."""


@dataclass(frozen=True, slots=True)
class FirstConfiguration:
    """What has been made up for a new server."""

    path: Path
    name: str
    network: IPv4Network
    dns: tuple[IPv4Address, ...]
    psk: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def psk_path(self) -> Path:
        """The pre-shared key's own file."""
        return self.path.parent / PSK_FILE

    @property
    def state_file(self) -> Path:
        """Where the state is kept: beside a configuration that is not in its usual place."""
        directory = self.path.parent.absolute()
        return (STATE_DIRECTORY if directory.is_relative_to("/etc") else directory) / "state.db"


def name_of(host: str) -> str:
    """Return the server's name, made of that of its host."""
    try:
        return host_name(host)
    except Expected:
        return "l2gate"


def make_up(
    path: Path,
    name: str,
    dns: Sequence[IPv4Address] = (),
    own_networks: Sequence[IPv4Network] = (),
) -> FirstConfiguration:
    """Choose secrets and a network for clients, apart from the networks that the server is in."""
    networks = [IPv4Network(network) for network in NETWORKS]
    free = [n for n in networks if not any(n.overlaps(own) for own in own_networks)]
    return FirstConfiguration(
        path,
        name,
        (free or networks)[0],
        tuple(dns),
        psk=_random(PSK_LENGTH),
        password=random_password(),
    )


def write(first: FirstConfiguration) -> None:
    """Write both files, for their owner alone. Raises FileExistsError if there is one already."""
    for path in (first.path, first.psk_path):
        if path.exists():
            raise FileExistsError(f"{path} exists already, and is not overwritten")
    first.path.parent.mkdir(parents=True, exist_ok=True)
    _write(first.psk_path, f"{first.psk}\n")
    _write(first.path, text(first))


def text(first: FirstConfiguration) -> str:
    """Return the configuration file."""
    dns = ", ".join(map(str, first.dns))
    return f"""\
# The configuration of l2gate; every key is described in docs/configuration.md.
# After a change: l2gate check --config {first.path}

server:
  name: {first.name}

ipsec:
  psk_file: {PSK_FILE}   # the pre-shared key, which all clients have in common

state:
  file: {first.state_file}   # what survives a restart; l2gate history shows it

departments:
  default:                 # users whose names have no suffix
    pool: {first.network}
    gateway: {first.network[1]}
    {f"dns: [{dns}]" if dns else "# dns: [192.168.1.53]   # what clients are to ask; at most two"}

users:
  - {{name: {USER}, password: {first.password}}}
"""


def instructions(first: FirstConfiguration) -> str:
    """Return how clients connect, with the secrets in it."""
    name, psk, password = first.name, first.psk, first.password
    doubt = "" if {".", ":"} & set(name) else "   (or its address, if clients cannot resolve that)"
    return f"""\
Clients need:
  server          {name}{doubt}
  pre-shared key  {psk}   (in {first.psk_path})
  user            {USER}
  password        {password}   (in {first.path})

Windows, in PowerShell:
  Add-VpnConnection -Name '{name}' -ServerAddress '{name}' -TunnelType L2tp -L2tpPsk '{psk}' `
    -AuthenticationMethod MSChapv2 -EncryptionLevel Required -RememberCredential -Force
  or in Settings > Network & internet > VPN > Add VPN:
    VPN provider "Windows (built-in)", VPN type "L2TP/IPsec with pre-shared key",
    type of sign-in info "User name and password"
  Only if this server is behind a NAT (port forwarding, most clouds), Windows also needs this once,
  as administrator, and a restart:
    reg add HKLM\\SYSTEM\\CurrentControlSet\\Services\\PolicyAgent /f `
      /v AssumeUDPEncapsulationContextOnSendRule /t REG_DWORD /d 2

macOS: System Settings > VPN > Add VPN Configuration > L2TP over IPSec;
  the pre-shared key is the "Shared secret";
  "Send all traffic over VPN connection" is in the options.
iPhone and iPad: Settings > General > VPN & Device Management > VPN > Add VPN Configuration;
  type L2TP, RSA SecurID off, the pre-shared key is the "Secret".

Linux with NetworkManager-l2tp:
  nmcli connection add type vpn vpn-type l2tp con-name {name} \\
    vpn.data 'gateway={name}, user={USER}, ipsec-enabled=yes' \\
    vpn.secrets 'password={password}, ipsec-psk={psk}'
  nmcli connection up {name}

Firewalls must let UDP ports 500 and 4500 in, and IP protocol 50 for clients that no NAT is
before. UDP port 1701 need not and should not be open. Clients get addresses of {first.network};
what is to answer them needs a way back there: docs/network.md.
"""


def random_password() -> str:
    """Return a password that people can type on a phone."""
    return _random(PASSWORD_LENGTH)


def _write(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(content)


def _random(length: int) -> str:
    return "".join(secrets.choice(UNAMBIGUOUS) for _ in range(length))
