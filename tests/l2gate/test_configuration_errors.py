"""Every mistake of a configuration is told in one run: where it is, what was expected, what to do.

Each case is a file, and beside it the complete text that the admin sees.
"""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from textwrap import dedent

import pytest

from l2gate.configuration import ConfigurationError, load
from l2gate.configuration.ipv6 import AnyNetwork

PSK = "ZZp4u9mVbC7kTqRx3sWd8yNe"
REST = f"""
ipsec: {{psk: {PSK}}}
departments: {{default: {{pool: 172.16.9.0/24, gateway: 172.16.9.1}}}}
users: [{{name: bob, password: pw}}]
"""


def mistakes(tmp_path: Path, text: str, **others: str) -> str:
    path = tmp_path / "l2gate.yaml"
    for file, content in ((path, text), *((tmp_path / n, t) for n, t in others.items())):
        file.parent.mkdir(exist_ok=True)
        file.write_text(dedent(content))
        file.chmod(0o600)
    own_networks: list[AnyNetwork] = [
        IPv4Network("192.168.1.0/24"),
        IPv4Network("10.0.0.0/8"),
        IPv6Network("2001:db8:9::/64"),
        IPv6Network("fe80::/64"),
    ]
    with pytest.raises(ConfigurationError) as caught:
        load(path, own_networks)
    assert len(caught.value.problems) == len(str(caught.value).splitlines())
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_file_with_every_kind_of_mistake(tmp_path: Path) -> None:
    text = """\
        server: {name: vpn.example.com, listn: ["0.0.0.0"]}
        ipsec: {psk: hunter22hunter, proposals: strong, dpd_interval: 1}
        l2pt: {}
        departments:
          sales:
            domains: [sales.example.com]
            pool: 172.16.1.1-172.16.1.100
            gateway: 172.16.1.1
            dns: [192.168.1.53, 1, 2.2.2.2, 3.3.3.3]
          lab:
            domains: [lab, sales.example.com]
            pool: [172.16.1.100-172.16.1.120]
            gateway: 172.16.1.50
        users:
          - {name: l2tpuser, password: pw}
          - {name: hb@sales.example.com, nt_hash: abc, address: 172.16.1.110}
          - {name: joe@lab, passwrd: hunter2}
          - {name: joe@lab, password: hunter2, password: hunter3}
          - {name: ann@labs, password: hunter2}
        """
    assert mistakes(tmp_path, text).splitlines() == [
        "l2gate.yaml:1: server: unknown key 'listn': did you mean 'listen'?",
        "l2gate.yaml:2: ipsec.proposals: expected default, strict, legacy or lab, found 'strong'",
        "l2gate.yaml:2: ipsec.dpd_interval: expected a whole number from 5 to 3600 (seconds), or "
        "false, found '1'",
        "l2gate.yaml:3: unknown key 'l2pt': did you mean 'l2tp'?",
        "l2gate.yaml:7: departments.sales.pool: contains the gateway 172.16.1.1: leave it out of "
        "the pool",
        "l2gate.yaml:9: departments.sales.dns: expected an IPv4 address, such as 172.16.1.1, "
        "found '1'",
        "l2gate.yaml:9: departments.sales.dns: expected at most 2 values, found 3",
        "l2gate.yaml:11: departments.lab.domains: 'sales.example.com' belongs to department "
        "'sales' already",
        "l2gate.yaml:12: departments.lab.pool: 172.16.1.100-172.16.1.120 overlaps the pool of "
        "'sales' (172.16.1.1-172.16.1.100)",
        "l2gate.yaml:13: departments.lab.gateway: 172.16.1.50 is in the pool of 'sales': choose "
        "another",
        "l2gate.yaml:15: users[l2tpuser].name: a name without a suffix belongs to the department "
        "'default', which does not exist: add it, or a suffix",
        "l2gate.yaml:16: users[hb@sales.example.com].nt_hash: expected 32 hexadecimal digits, "
        "found something else",
        "l2gate.yaml:16: users[hb@sales.example.com].address: 172.16.1.110 is in the pool of "
        "department 'lab', and the user is in 'sales': choose another",
        "l2gate.yaml:17: users[joe@lab]: unknown key 'passwrd': did you mean 'password'?",
        "l2gate.yaml:17: users[joe@lab]: has no password: add 'password' or 'nt_hash'",
        "l2gate.yaml:18: users.password: given twice, first in line 18: remove one of them",
        "l2gate.yaml:18: users[joe@lab].name: the user is in l2gate.yaml:17 already: remove one "
        "of them",
        "l2gate.yaml:19: users[ann@labs].name: no department has the domain 'labs': add it to one "
        "(known: lab, sales.example.com)",
    ]


def one(tmp_path: Path, text: str) -> str:
    """Return what is told of a first line, where the other sections are in order."""
    section = text.split(":")[0]
    rest = [line for line in REST.splitlines(True) if not line.startswith(f"{section}:")]
    lines = mistakes(tmp_path, text + "".join(rest)).splitlines()
    return "\n".join(line.removeprefix("l2gate.yaml:1: ") for line in lines)


def cases() -> Iterator[tuple[str, str]]:
    """Yield the pairs of mistakes.txt: a line of YAML, and indented what is told of it."""
    text = (Path(__file__).parent / "mistakes.txt").read_text()
    for block in text.split("\n\n")[1:]:
        yaml, *told = block.strip("\n").split("\n")
        yield yaml, dedent("\n".join(told))


@pytest.mark.parametrize(("text", "told"), list(cases()))
def test_one_mistake(tmp_path: Path, text: str, told: str) -> None:
    assert one(tmp_path, text) == told


def test_a_department_needs_a_domain_and_a_name(tmp_path: Path) -> None:
    text = "departments: {lab one: {pool: 172.16.1.0/24, gateway: 172.16.1.1}}"
    told = mistakes(tmp_path, text + f"\nipsec: {{psk: {PSK}}}").splitlines()
    assert told == [
        "l2gate.yaml:1: departments.lab one: expected a department's name of letters, digits, '.', "
        "'-' and '_', found 'lab one'",
        "l2gate.yaml:1: departments.lab one: domains is missing, so that nobody belongs to the "
        "department: add for example 'domains: [lab one.example.com]'",
    ]


def test_two_departments_of_one_name_and_two_sections(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        REST,
        **{
            "conf.d/more.yaml": """\
                ipsec: {psk: other}
                departments:
                  default: {pool: 172.16.7.0/24, gateway: 172.16.7.1}
                users:
                - {name: bob, password: pw}
                """
        },
    )
    assert told.splitlines() == [
        "conf.d/more.yaml:1: ipsec: the section is in l2gate.yaml:2 already: keep it in one file",
        "conf.d/more.yaml:3: departments.default: the department is in l2gate.yaml:3 already: give "
        "it once",
        "conf.d/more.yaml:5: users[bob].name: the user is in l2gate.yaml:4 already: remove one of "
        "them",
    ]


def test_an_empty_file(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "").splitlines() == [
        "l2gate.yaml: ipsec: psk_file is missing: add for example 'psk_file: psk'",
        "l2gate.yaml: departments is missing: add at least the department 'default'",
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/latin.yaml").write_bytes(b"# fine\n# caf\xe9\n")
    (tmp_path / "conf.d/null.yaml").write_bytes(b"# fine\n\n# \x01\n")
    told = mistakes(tmp_path, "server:\n  name: vpn\n listen: here\nusers: [")
    assert told.splitlines() == [
        "l2gate.yaml:3: not YAML: did not find expected key while parsing a block mapping",
        "conf.d/latin.yaml:2: expected text in UTF-8: save the file in that encoding",
        "conf.d/null.yaml:3: YAML allows no character 0x1: remove it",
    ]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "nowhere.yaml")
    assert (
        str(caught.value) == f"{tmp_path}/nowhere.yaml: cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            b"two\nlines\n",
            "expected one line of printable characters without spaces around it in psk",
        ),
        (b"", "expected one line of printable characters without spaces around it in psk"),
        (b"x" * 5000, "expected one short line in psk"),
        (b"caf\xe9\n", "expected text in UTF-8 in psk"),
    ],
)
def test_a_secret_is_one_line_of_text(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "psk").write_bytes(content)
    (tmp_path / "psk").chmod(0o600)
    assert (
        one(tmp_path, "ipsec: {psk_file: psk}").replace(f"{tmp_path}/", "")
        == f"ipsec.psk_file: {told}"
    )


def test_no_mistake_shows_a_secret(tmp_path: Path) -> None:
    text = """\
        ipsec: {psk: " hunter2", proposals: x}
        l2tp: {secret: "hunter2 "}
        departments: {default: {pool: 172.16.9.0/24, gateway: 172.16.9.1}}
        users:
          - {name: a, nt_hash: hunter2}
          - {name: b, password: [hunter2]}
          - {name: c, password: hunter2, password: hunter2}
          - {name: d, password: hunter2, nt_hash: hunter2}
        """
    assert "hunter2" not in mistakes(tmp_path, text)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("{}", "state: needs where to keep it: add for example 'file: /var/lib/l2gate/state.db'"),
        ("{keep: 3}", "state: needs where to keep it: add for example 'file: /var/lib/l2gate/stat"),
        ("{file: state.db}", "state.file: expected the absolute path of a file, such as /var/lib"),
        ("{file: /tmp}", "state.file: /tmp is a directory: name a file in it, such as /tmp/st"),
        ("{file: /var/lib/}", "state.file: expected the absolute path of a file, such as /var/li"),
        ("{postgresql: hunter2}", "state.postgresql: expected a connection string, such as "),
        ("{file: /s.db, postgresql: a=b}", "state.postgresql: is given beside file: remove one"),
        ("{file: /s.db, keep: 0}", "state.keep: expected a whole number from 1 to 36500, found"),
        ("{file: /s.db, gateway: a b}", "state.gateway: expected "),
        (
            "{postgresql: host=db password=a hunter2, gateway: x}",
            "state.postgresql: expected a con",
        ),
        ("{postgresql: host=db}", "state: gateway is missing, a name that no other server has: "),
        ("{postgresql_file: nowhere}", "state.postgresql_file: "),
        ("{path: /s.db, file: /s.db}", "state: unknown key 'path': known are file, postgresql, "),
    ],
)
def test_the_state(tmp_path: Path, state: str, told: str) -> None:
    found = mistakes(tmp_path, f"state: {state}{REST}")
    assert found.startswith(f"l2gate.yaml:1: {told}")
    assert "hunter2" not in found


def test_a_state_whose_directory_the_server_does_not_make(tmp_path: Path) -> None:
    """It makes one in a directory that there is, and no more than that."""
    path = tmp_path / "l2gate.yaml"
    for directory, told in (("a", []), ("a/b", [f"there is a directory {tmp_path}/a/b: make it"])):
        path.write_text(f"state: {{file: {tmp_path}/{directory}/state.db}}{REST}")
        path.chmod(0o600)
        warnings = [each.text.rpartition(" until ")[2] for each in load(path).warnings]
        assert [text for text in warnings if "directory" in text] == told


def test_postgresql_without_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2gate.configuration.state.find_spec", lambda name: None)
    assert mistakes(tmp_path, f"state: {{postgresql: host=db, gateway: x}}{REST}") == (
        "l2gate.yaml:1: state.postgresql: needs psycopg: pip install 'l2gate[postgresql]'"
    )
