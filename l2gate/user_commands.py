"""`l2gate user ...`, which changes the users in the files, and `l2gate reload`.

A change is checked as the server would check it before it is written, and then the running
server is told. Passwords come from a terminal or a file, never as an argument.
"""

import argparse
import asyncio
import json
import os
import sys
import time
import warnings
from base64 import b32encode
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from getpass import GetPassWarning, getpass
from pathlib import Path
from urllib.parse import quote

from aaa import User
from l2gate.configuration import ConfigurationError, Loaded, load
from l2gate.configuration.departments import SHUT_OUT
from l2gate.configuration.editing import (
    MUST_CHANGE,
    EditError,
    Kind,
    add_user,
    change_user,
    remove_user,
    set_disabled,
    set_password,
    set_totp,
)
from l2gate.configuration.files import LARGEST_SECRET
from l2gate.configuration.ipv6 import AnyNetwork
from l2gate.configuration.yamltext import Value
from l2gate.control import ControlError, Json, Request, ServerUnreachable, ask
from l2gate.first_configuration import random_password
from l2gate.reloading import Changes
from l2gate.reports import sessions_from_json, table

TOTP_OCTETS = 20
"""The length of a code's secret, as RFC 4226 section 4 recommends."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """One user of the files. `sessions` is None where no server answers.

    `password` says how it is kept, `state` is enabled, disabled, expired or locked. `routes` are
    the networks behind the user.
    """

    name: str
    department: str
    state: str
    expires: str
    password: str
    code: bool
    address: str
    routes: tuple[str, ...]
    sessions: int | None


class Desk:
    """The files and the server that a command works on."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.path: Path = options.config
        self._socket: Path | None = options.socket
        self._networks = asyncio.run(_own_networks())
        self._loaded: Loaded | None = None

    @property
    def loaded(self) -> Loaded:
        """The configuration: as it will be after a change, as it is before one."""
        if self._loaded is None:
            self._loaded = load(self.path, self._networks)
        return self._loaded

    def check(self, texts: Mapping[Path, str]) -> None:
        """See that the server would take the files with these texts. Raises what is wrong."""
        try:
            self._loaded = load(self.path, self._networks, texts)
        except ConfigurationError as error:
            raise EditError(f"nothing was changed, because of this:\n{error}") from None

    def check_for(self, name: str) -> Callable[[Mapping[Path, str]], None]:
        """Return a `check` that also sees that a user can log in."""

        def check(texts: Mapping[Path, str]) -> None:
            self.check(texts)
            for warning in self.loaded.warnings:
                if warning.text.startswith(f"users[{name}]: {SHUT_OUT}"):
                    raise EditError(f"nothing was changed, because {name!r} {_after(warning.text)}")

        return check

    def ask(self, command: str, **arguments: Json) -> Json:
        """Return the server's answer. Raises ControlError."""
        socket = self._socket or self.loaded.configuration.server.control_socket
        response = ask(socket, Request(command, arguments))
        if response.error is not None:
            raise ControlError(response.error)
        return response.result

    def reload(self) -> None:
        """Tell the running server of a change, and the admin what came of it."""
        try:
            ended = Changes.from_json(self.ask("reload")).ended
        except ServerUnreachable as error:
            print(f"{error}: the change takes effect when it starts")
            return
        for session in ended:
            print(f"session {session.session} of {session.user} ends: {session.why}")
        print("the server has reloaded")


def add_parsers(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    config: argparse.ArgumentParser,
    as_json: argparse.ArgumentParser,
) -> None:
    """Add `user` and its commands to those of l2gate; the others are options to inherit."""
    user = commands.add_parser("user", help="manage the users in the configuration")
    actions = user.add_subparsers(title="commands", required=True, metavar="COMMAND")
    where = argparse.ArgumentParser(add_help=False, parents=[config])
    where.add_argument(
        "--socket",
        type=Path,
        default=None,
        metavar="PATH",
        help="the running server's control socket (default: that of the configuration)",
    )
    named = argparse.ArgumentParser(add_help=False, parents=[where])
    named.add_argument("name", metavar="NAME", help="the login name")
    password = argparse.ArgumentParser(add_help=False)
    source = password.add_mutually_exclusive_group()
    source.add_argument("--generate", action="store_true", help="make up a password and print it")
    source.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help='take the password from a file, or from standard input ("-"), not from the terminal',
    )
    password.add_argument(
        "--must-change", action="store_true", help="have the user change it at the next login"
    )
    kinds = [kind.value for kind in Kind]

    def add(
        name: str,
        run: Callable[[argparse.Namespace], None],
        text: str,
        *parents: argparse.ArgumentParser,
    ) -> argparse.ArgumentParser:
        command = actions.add_parser(name, parents=list(parents), help=text)
        command.set_defaults(run=run)
        return command

    add("list", user_list, "list the users, never their secrets", where, as_json)
    command = add("add", user_add, "add a user to the department of its suffix", named, password)
    command.add_argument(
        "--hash",
        choices=kinds,
        default=Kind.NT.value,
        help="how to keep the password (default: %(default)s, an NT hash, which serves MS-CHAPv2 "
        "and PAP; plain also serves CHAP-MD5 and one-time codes, argon2 serves PAP alone)",
    )
    command.add_argument("--address", metavar="ADDRESS", help="a fixed address")
    command.add_argument("--expires", metavar="DAY", help="the last day, such as 2026-12-31")
    command.add_argument(
        "--route",
        dest="routes",
        action="append",
        metavar="NETWORK",
        help="a network behind the user, who is a router; may be given several times",
    )
    command = add("passwd", user_passwd, "change a password", named, password)
    command.add_argument("--hash", choices=kinds, help="how to keep it (default: as until now)")
    command = add("change", user_change, "change name, fixed address, last day or routes", named)
    command.add_argument("--name", dest="new_name", metavar="NEW", help="another login name")
    command.add_argument("--address", metavar="ADDRESS", help="a fixed address, or none")
    command.add_argument("--expires", metavar="DAY", help="the last day, or none")
    command.add_argument(
        "--route",
        dest="routes",
        action="append",
        metavar="NETWORK",
        help="a network behind the user, or none; give it for each that there is to be",
    )
    add("disable", user_disable, "let a user in no more, and end the sessions", named)
    add("enable", user_enable, "let a user in again", named)
    add("remove", user_remove, "remove a user, and end the sessions", named)
    command = add("totp", user_totp, "demand one-time codes after the password", named)
    command.add_argument("--remove", action="store_true", help="demand them no more")
    add("unlock", user_unlock, "let a user try again after wrong passwords", named)


def user_add(options: argparse.Namespace) -> None:
    """Add a user."""
    desk = Desk(options)
    kind = Kind(options.hash)
    password, shown = _new_password(options)
    fields: dict[str, Value] = {"name": options.name, kind.key: kind.keep(password)}
    if options.address:
        fields["address"] = options.address
    if options.expires:
        fields["expires"] = options.expires
    if options.routes:
        fields["routes"] = options.routes
    if options.must_change:
        fields[MUST_CHANGE] = "true"
    file = add_user(desk.path, fields, desk.check_for(options.name))
    department = desk.loaded.configuration.directory.department_of(options.name)
    print(f"added {options.name} to {file}, department {department.name if department else ''}")
    if shown:
        print(f"password: {password}")
    desk.reload()


def user_passwd(options: argparse.Namespace) -> None:
    """Change the password of a user."""
    desk = Desk(options)
    _must_exist(desk, options.name)
    password, shown = _new_password(options)
    kind = Kind(options.hash) if options.hash else None
    check = desk.check_for(options.name)
    set_password(desk.path, options.name, password, kind, check, options.must_change)
    print(f"changed the password of {options.name}")
    if shown:
        print(f"password: {password}")
    desk.reload()


def user_change(options: argparse.Namespace) -> None:
    """Give a user another name, address, last day or other networks behind it."""
    desk = Desk(options)
    changes: dict[str, Value | None] = {}
    if options.new_name:
        changes["name"] = options.new_name
    for key in ("address", "expires"):
        value = getattr(options, key)
        if value is not None:
            changes[key] = None if value == "none" else value
    if options.routes:
        changes["routes"] = None if options.routes == ["none"] else options.routes
    if not changes:
        raise EditError("nothing to change: give --name, --address, --expires or --route")
    changed = change_user(desk.path, options.name, changes, desk.check)
    _report(desk, changed, f"changed {options.name}", f"{options.name} is so already")


def user_disable(options: argparse.Namespace) -> None:
    """Let a user in no more, and end the sessions."""
    desk = Desk(options)
    changed = set_disabled(desk.path, options.name, True, desk.check)
    _report(desk, changed, f"disabled {options.name}", f"{options.name} is disabled already")


def user_enable(options: argparse.Namespace) -> None:
    """Let a user in again."""
    desk = Desk(options)
    changed = set_disabled(desk.path, options.name, False, desk.check)
    _report(desk, changed, f"enabled {options.name}", f"{options.name} is not disabled")


def user_remove(options: argparse.Namespace) -> None:
    """Remove a user, and end the sessions."""
    desk = Desk(options)
    remove_user(desk.path, options.name, desk.check)
    _report(desk, True, f"removed {options.name}", "")


def user_totp(options: argparse.Namespace) -> None:
    """Demand one-time codes from a user, or no more."""
    desk = Desk(options)
    if options.remove:
        changed = set_totp(desk.path, options.name, None, desk.check)
        done, otherwise = f"{options.name} needs no code now", f"{options.name} needs none"
        _report(desk, changed, done, otherwise)
        return
    secret = b32encode(os.urandom(TOTP_OCTETS)).decode()
    set_totp(desk.path, options.name, secret, desk.check_for(options.name))
    issuer = desk.loaded.configuration.server.name
    print(f"{options.name} logs in with the password and the code straight after it.")
    print("For the app that shows the codes; keep it as secret as a password:")
    print(
        f"otpauth://totp/{quote(issuer)}:{quote(options.name)}"
        f"?secret={secret}&issuer={quote(issuer)}"
    )
    desk.reload()


def user_unlock(options: argparse.Namespace) -> None:
    """Let a user try again who was locked after wrong passwords."""
    Desk(options).ask("unlock", user=options.name)
    print(f"unlocked {options.name}")


def user_list(options: argparse.Namespace) -> None:
    """Print the users."""
    desk = Desk(options)
    try:
        rows = sessions_from_json(desk.ask("sessions"))
        sessions: Counter[str] | None = Counter(row.user for row in rows)
        locks = desk.ask("locks")
        found = (
            [lock for lock in locks if isinstance(lock, dict)] if isinstance(locks, list) else []
        )
        locked = {str(lock["user"]) for lock in found if lock.get("user") is not None}
    except ServerUnreachable:
        sessions, locked = None, set()
    directory, now = desk.loaded.configuration.directory, time.time()
    users = []
    for user in directory.users.values():
        department = directory.department_of(user.name)
        users.append(
            UserRow(
                name=user.name,
                department=department.name if department else "",
                state=_state(user, now, user.name in locked),
                expires=str(user.expires or ""),
                password=_kind(user).value,
                code=user.totp is not None,
                address=str(user.address or ""),
                routes=tuple(map(str, user.routes)),
                sessions=None if sessions is None else sessions[user.name],
            )
        )
    if options.json:
        print(json.dumps([asdict(row) for row in users], indent=2))
        return
    titles = (
        *("USER", "DEPARTMENT", "STATE", "EXPIRES", "PASSWORD", "CODE", "ADDRESS", "ROUTES"),
        "SESSIONS",
    )
    cells = [
        (
            *(row.name, row.department, row.state, row.expires, row.password),
            *("yes" if row.code else "no", row.address, " ".join(row.routes)),
            "?" if row.sessions is None else str(row.sessions),
        )
        for row in users
    ]
    print(table(titles, cells, right={"SESSIONS"}) if cells else "no users")


def reload(options: argparse.Namespace) -> None:
    """Let the server read users and departments again, or say what that would change."""
    response = ask(options.socket, Request("reload", {"dry_run": options.dry_run}))
    if response.error is not None:
        raise ControlError(response.error)
    if options.json:
        print(json.dumps(response.result, indent=2))
    else:
        print(Changes.from_json(response.result).text())


def _report(desk: Desk, changed: bool, done: str, otherwise: str) -> None:
    print(done if changed else otherwise)
    if changed:
        desk.reload()


def _must_exist(desk: Desk, name: str) -> None:
    """Raise before a password is asked for in vain."""
    if name not in desk.loaded.configuration.directory.users:
        change_user(desk.path, name, {})


def _new_password(options: argparse.Namespace) -> tuple[str, bool]:
    """Return a new password, and whether the admin has still to be told."""
    if options.generate:
        return random_password(), True
    if options.password_file is not None:
        return _password_in(options.password_file), False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", GetPassWarning)
            first = getpass("new password: ")
            second = getpass("the same again: ")
    except (GetPassWarning, EOFError):
        raise EditError("there is no terminal: give --password-file or --generate") from None
    if first != second:
        raise EditError("the two passwords differ: nothing was changed")
    return first, False


def _password_in(file: Path) -> str:
    """Return the only line of a file, or of the standard input for "-"."""
    if str(file) == "-":
        octets = sys.stdin.buffer.read(LARGEST_SECRET)
    else:
        with file.open("rb") as stream:
            octets = stream.read(LARGEST_SECRET)
    try:
        return octets.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise EditError(f"expected text in UTF-8 in {file}") from None


def _state(user: User, now: float, locked: bool) -> str:
    if user.disabled:
        return "disabled"
    if user.has_expired(now):
        return "expired"
    return "locked" if locked else "enabled"


def _kind(user: User) -> Kind:
    if user.password is not None:
        return Kind.PLAIN
    return Kind.NT if user.nt_hash is not None else Kind.ARGON2


def _after(text: str) -> str:
    return text.partition(": ")[2]


async def _own_networks() -> list[AnyNetwork]:
    from l2gate.network import own_networks  # pyroute2 takes a while to load

    return await own_networks()
