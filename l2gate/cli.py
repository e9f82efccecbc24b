"""The command line: `l2gate COMMAND`."""

import argparse
import asyncio
import contextlib
import json
import logging
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from enum import IntEnum
from importlib.metadata import version
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from l2gate import first_configuration, past, user_commands
from l2gate.capture import MAX_PACKETS, MAX_SECONDS, PACKETS, SECONDS
from l2gate.configuration import ConfigurationError, Problem, load
from l2gate.configuration.editing import EditError
from l2gate.configuration.ipv6 import AnyNetwork
from l2gate.configuration.sections import CONTROL_SOCKET
from l2gate.configuration.values import host_name
from l2gate.control import (
    PATIENCE,
    ControlError,
    Json,
    Request,
    ServerUnreachable,
    ask,
    messages,
)
from l2gate.history import Attempt
from l2gate.privileges import PrivilegeError
from l2gate.recording import record
from l2gate.reports import (
    attempt_line,
    attempt_text,
    attempts_from_json,
    attempts_table,
    offers_from_json,
    offers_text,
    sessions_from_json,
    sessions_table,
    status_from_json,
    status_text,
)
from l2gate.rights import check_rights

FOLLOWING = 1.0
"""Seconds between two looks at the attempts by `--follow`."""

CONFIGURATION = Path("/etc/l2gate/l2gate.yaml")


class ExitCode(IntEnum):
    """What the program returns. argparse leaves with USAGE by itself."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3


class Failed(Exception):  # noqa: N818
    """A command did not do what it was asked to; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except ServerUnreachable as error:
        return _fail(str(error), ExitCode.UNREACHABLE)
    except (ConfigurationError, ControlError, EditError, Failed) as error:
        return _fail(str(error), ExitCode.FAILED)
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _fail(told, ExitCode.FAILED)
    return ExitCode.OK


def serve(options: argparse.Namespace) -> None:
    """Run the server until it is told to stop."""
    # Only this command needs the sockets, the device and the cryptography behind them.
    from l2gate import server
    from l2gate.firewall import FirewallError
    from l2gate.network import NetworkError
    from l2gate.sockets import ListenError
    from l2gate.tun import TunError

    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    try:
        asyncio.run(server.serve(options.config))
    except (FirewallError, ListenError, NetworkError, PrivilegeError, TunError) as error:
        raise Failed(str(error)) from error


def check(options: argparse.Namespace) -> None:
    """Read the configuration and tell what is wrong with it."""
    problems: list[tuple[str, Problem]] = []
    summary = ""
    try:
        networks = _own_networks()
        loaded = load(options.config, networks)
        problems = [("warning", problem) for problem in loaded.warnings]
        with contextlib.suppress(PrivilegeError):  # who may not look as that user cannot tell
            found = check_rights(options.config, loaded, networks)
            problems += (("warning", problem) for problem in found)
        directory = loaded.configuration.directory
        summary = f"departments: {len(directory.departments)}, users: {len(directory.users)}"
    except ConfigurationError as error:
        problems = [("error", problem) for problem in error.problems]
    if options.json:
        _print_json(
            [
                {"severity": severity, "file": p.place.file, "line": p.place.line, "text": p.text}
                for severity, p in problems
            ]
        )
    else:
        for severity, problem in problems:
            print(f"{problem.place}: {severity}: {problem.text}")
    if not summary:
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        raise Failed(f"{options.config}: {count}")
    if not options.json:
        print(f"{options.config} is in order: {summary}")


def init(options: argparse.Namespace) -> None:
    """Write a first configuration and print how to connect."""
    name = options.name or first_configuration.name_of(socket.gethostname())
    networks = [own for own in _own_networks() if isinstance(own, IPv4Network)]
    first = first_configuration.make_up(options.config, name, options.dns, networks)
    first_configuration.write(first)
    print(f"wrote {first.path} and {first.psk_path}\n")
    print(first_configuration.instructions(first), end="")


def status(options: argparse.Namespace) -> None:
    """Print how the server is doing."""
    result = _ask(options, Request("status"))
    if options.json:
        _print_json(result)
    else:
        print(status_text(status_from_json(result)))


def sessions(options: argparse.Namespace) -> None:
    """Print who is connected."""
    result = _ask(options, Request("sessions"))
    if options.json:
        _print_json(result)
    else:
        print(sessions_table(sessions_from_json(result)))


def attempts(options: argparse.Namespace) -> None:
    """Print how clients got on that tried to connect."""
    request = Request("attempts", {"whose": options.whose} if options.whose else {})
    if options.follow:
        _follow(options, request)
        return
    result = _ask(options, request)
    if options.json:
        _print_json(result)
        return
    found = attempts_from_json(result)
    if options.whose and len(found) == 1:
        print(attempt_text(found[0]))
    else:
        print(attempts_table(found))


def _follow(options: argparse.Namespace, request: Request) -> None:
    """Print each attempt once more whenever anything of it but its traffic has changed."""
    seen: dict[int, Attempt] = {}
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            result = attempts_from_json(_ask(options, request))
            quiet = {attempt.id: replace(attempt, octets_in=0, octets_out=0) for attempt in result}
            for attempt in result:
                if seen.get(attempt.id) != quiet[attempt.id]:
                    line = json.dumps(asdict(attempt)) if options.json else attempt_line(attempt)
                    print(line, flush=True)
            seen = quiet
            time.sleep(FOLLOWING)


def offers(options: argparse.Namespace) -> None:
    """Print what the clients offer in IKE."""
    result = _ask(options, Request("offers"))
    if options.json:
        _print_json(result)
    else:
        print(offers_text(offers_from_json(result)))


def history(options: argparse.Namespace) -> None:
    """Print who was connected."""
    result = _ask(options, past.request_of(options))
    if options.json:
        _print_json(result)
    else:
        print(past.history_table(past.sessions_from_json(result)))


def disconnect(options: argparse.Namespace) -> None:
    """Close one session, or all of a user."""
    target = options.target
    by_id = target.isascii() and target.isdigit() and not options.user
    _ask(options, Request("disconnect", {"session": int(target)} if by_id else {"user": target}))


def capture(options: argparse.Namespace) -> None:
    """Record the packets of one client, with the keys to read them."""
    wanted = {"peer": options.peer, "seconds": options.seconds, "packets": options.packets}
    answer = messages(options.socket, Request("capture", wanted), options.seconds + PATIENCE)
    for line in record(options.out, answer):
        print(line, flush=True)


def _own_networks() -> list[AnyNetwork]:
    from l2gate.network import own_networks  # pyroute2 takes a while to load

    return asyncio.run(own_networks())


def _ask(options: argparse.Namespace, request: Request) -> Json:
    response = ask(options.socket, request)
    if response.error is not None:
        raise Failed(response.error)
    return response.result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="l2gate",
        description="An L2TP/IPsec remote-access server in user space.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no server answers.",
    )
    parser.add_argument("--version", action="version", version=f"l2gate {version('l2gate')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    config = argparse.ArgumentParser(add_help=False)
    config.add_argument(
        "--config",
        type=Path,
        default=CONFIGURATION,
        metavar="FILE",
        help="the configuration (default: %(default)s)",
    )
    control = argparse.ArgumentParser(add_help=False)
    control.add_argument(
        "--socket",
        type=Path,
        default=CONTROL_SOCKET,
        metavar="PATH",
        help="the running server's control socket (default: %(default)s)",
    )
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON, for programs")

    command = commands.add_parser("serve", parents=[config], help="run the server")
    command.add_argument("--verbose", action="store_true", help="log more than what matters")
    command.set_defaults(run=serve)

    command = commands.add_parser(
        "check", parents=[config, as_json], help="check the configuration without using it"
    )
    command.set_defaults(run=check)

    command = commands.add_parser(
        "init",
        parents=[config],
        help="write a first configuration, with fresh secrets, and say how to connect",
    )
    command.add_argument(
        "--name",
        type=_host_name,
        default=None,
        help="the name or address that clients dial (default: this host's name)",
    )
    command.add_argument(
        "--dns",
        type=IPv4Address,
        action="append",
        default=[],
        metavar="ADDRESS",
        help="a DNS server for clients; may be given twice",
    )
    command.set_defaults(run=init)

    command = commands.add_parser(
        "status", parents=[control, as_json], help="show how the server is doing"
    )
    command.set_defaults(run=status)

    command = commands.add_parser(
        "sessions", parents=[control, as_json], help="list who is connected"
    )
    command.set_defaults(run=sessions)

    command = commands.add_parser(
        "attempts",
        parents=[control, as_json],
        help="show how far clients got that tried to connect, and why no further",
    )
    command.add_argument(
        "whose",
        nargs="?",
        metavar="ID|IP|USER",
        help="only this attempt, or those of an outer address or a login name",
    )
    command.add_argument(
        "--follow", action="store_true", help="go on and print a line for each change"
    )
    command.set_defaults(run=attempts)

    command = commands.add_parser(
        "offers",
        parents=[control, as_json],
        help="show what clients offer in IKE, and which proposals would accept it",
    )
    command.set_defaults(run=offers)

    command = commands.add_parser(
        "history",
        parents=[control, as_json],
        help="show who was connected when, from where, how much, and why it ended",
    )
    command.add_argument("--user", metavar="NAME", help="only this login name")
    command.add_argument("--department", metavar="NAME", help="only this department")
    command.add_argument(
        "--since",
        type=past.since,
        metavar="DAY|SPAN",
        help="only what went on since a day (2026-11-30), or in a span until now (12h, 2d, 4w)",
    )
    command.add_argument(
        "--limit",
        type=_up_to(past.MOST_SHOWN),
        default=past.SHOWN,
        metavar="N",
        help=f"the latest N (default: %(default)s, at most {past.MOST_SHOWN})",
    )
    command.set_defaults(run=history)

    command = commands.add_parser(
        "reload", parents=[control, as_json], help="read keys, users and departments again"
    )
    command.add_argument(
        "--dry-run", action="store_true", help="only say what would change, and whose session end"
    )
    command.set_defaults(run=user_commands.reload)

    user_commands.add_parsers(commands, config, as_json)

    command = commands.add_parser("disconnect", parents=[control], help="close sessions")
    command.add_argument("target", metavar="ID|USER", help="a session's id, or a login name")
    command.add_argument("--user", action="store_true", help="it is a login name, though of digits")
    command.set_defaults(run=disconnect)

    command = commands.add_parser(
        "capture",
        parents=[control],
        help="record the packets of one client, with the keys to read them in Wireshark",
    )
    command.add_argument(
        "--peer", required=True, metavar="IP|USER", help="an outer address, or who is connected"
    )
    command.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.pcapng",
        help="where to; the keys go to the directory FILE.pcapng.wireshark",
    )
    command.add_argument(
        "--seconds",
        type=_up_to(MAX_SECONDS),
        default=SECONDS,
        metavar="N",
        help=f"end after so long (default: %(default)s, at most {MAX_SECONDS})",
    )
    command.add_argument(
        "--packets",
        type=_up_to(MAX_PACKETS),
        default=PACKETS,
        metavar="N",
        help=f"end after so many (default: %(default)s, at most {MAX_PACKETS})",
    )
    command.set_defaults(run=capture)
    return parser


def _up_to(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and 0 < int(text) <= most):
            raise argparse.ArgumentTypeError(f"expected a number from 1 to {most}")
        return int(text)

    return number


def _host_name(text: str) -> str:
    try:
        return host_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}") from None


def _print_json(value: Json) -> None:
    print(json.dumps(value, indent=2))


def _fail(why: str, code: ExitCode) -> int:
    print(f"l2gate: {why}" if "\n" not in why else why, file=sys.stderr)
    return code
