"""Edits of the users in a YAML text: what is wanted changes, and no other character does."""

import re
from collections.abc import Callable

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from l2gate.configuration.yamltext import CannotEdit, Plain, UsersText, scalar, verified

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_scalar_is_read_as_the_text_that_it_was_made_of(text: str) -> None:
    for document in (f"a: {scalar(text)}\n", f"{{a: {scalar(text)}, b: c}}\n"):
        if all(character in "\t\n\r" or character >= " " for character in text):
            root = yaml.compose(document)
            assert isinstance(root, yaml.MappingNode)
            assert root.value[0][1].value == text
            assert root.value[0][1].tag != "tag:yaml.org,2002:null"


BLOCK = """\
# first
server: {name: vpn}   # a comment
users:   # all of them
  # Alice
  - name: alice   # her name
    password: "a # b"
    # still Alice

  -   name: 'bob'
      nt_hash: 00000000000000000000000000000001
  - {name: carol, password: x}  # flow

# the end
ppp: {mru: 1400}
"""


@pytest.mark.parametrize(
    ("edit", "old", "new"),
    [
        (lambda u: u.set(0, "password", "new"), '"a # b"', "new"),
        (
            lambda u: u.set(1, "password", "it's", "nt_hash"),
            f"nt_hash: {1:032}",
            "password: 'it''s'",
        ),
        (lambda u: u.set(2, "disabled", "true"), "x}", "x, disabled: true}"),
        (
            lambda u: u.set(0, "disabled", "true"),
            '"a # b"\n',
            '"a # b"\n    disabled: true\n',
        ),
        (
            lambda u: u.set(1, "disabled", "true"),
            "0001\n",
            "0001\n      disabled: true\n",
        ),
        (lambda u: u.remove(2), "  - {name: carol, password: x}  # flow\n", ""),
        (lambda u: u.remove(1), f"  -   name: 'bob'\n      nt_hash: {1:032}\n", ""),
        (
            lambda u: u.add({"name": "dan", "password": "a b"}),
            "# flow\n",
            "# flow\n  - {name: dan, password: 'a b'}\n",
        ),
        (lambda u: u.unset(2, "password"), ", password: x}", "}"),
        (lambda u: u.unset(0, "password"), '    password: "a # b"\n', ""),
        (lambda u: u.unset(1, "name"), "name: 'bob'\n      nt", "nt"),
        (lambda u: u.unset(2, "name"), "{name: carol, ", "{"),
    ],
)
def test_an_edit(edit: Callable[[UsersText], str], old: str, new: str) -> None:
    assert BLOCK.count(old) == 1
    assert edit(UsersText(BLOCK)) == BLOCK.replace(old, new)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "users:\n  - {name: x}\n"),
        ("# nothing\n", "# nothing\nusers:\n  - {name: x}\n"),
        ("a: b", "a: b\nusers:\n  - {name: x}\n"),
        ("users: []\nb: c\n", "users:\n  - {name: x}\nb: c\n"),
        ("users:\n", "users:\n  - {name: x}\n"),
        ("users: ~ # none\n", "users:\n  - {name: x} # none\n"),
        ("users: # none\nb: c\n", "users:\n  - {name: x} # none\nb: c\n"),
        ("users: [{name: a}] # one\n", "users: [{name: a}, {name: x}] # one\n"),
        ("users:\n- name: a\nb: c\n", "users:\n- name: a\n- name: x\nb: c\n"),
        ("users:\r\n- {name: a}", "users:\r\n- {name: a}\r\n- {name: x}\r\n"),
        (
            "users:\n  - name: |\n      a\n\nb: c\n",
            "users:\n  - name: |\n      a\n\n  - name: x\nb: c\n",
        ),
    ],
)
def test_adding(before: str, after: str) -> None:
    users = UsersText(before)
    text = users.add({"name": "x"})
    assert verified(users, text, lambda u: u.append([("name", "x")])).text == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("users:\n  - name: a # A\nb: c\n", "users:\n  [] # A\nb: c\n"),
        ("users:\n- name: a\nb: c\n", "users:\n []\nb: c\n"),
        ("users: [{name: a}]\n", "users: []\n"),
        ("users: [{name: a}, {name: b}]\n", "users: [{name: b}]\n"),
        ("users: [{name: a}, # A\n  {name: b}]\n", "users: [ # A\n  {name: b}]\n"),
        ("users: [\n  {name: a},\n  {name: b},\n]\n", "users: [\n  {name: b},\n]\n"),
        ("users: [{name: a} # A\n , {name: b}]\n", "users: [ # A\n  {name: b}]\n"),
        ("users:\n  -\n    # A\n    name: a\n  - name: b\n", "users:\n  - name: b\n"),
    ],
)
def test_removing_the_first(before: str, after: str) -> None:
    users = UsersText(before)
    assert verified(users, users.remove(0), lambda u: u.pop(0) and None).text == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{name: a, routes: [x, y], b: c} # A", "{name: a, routes: [v, 'w::/64'], b: c} # A"),
        ("{name: a, routes: x}", "{name: a, routes: [v, 'w::/64']}"),
        ("{name: a, routes: []}", "{name: a, routes: [v, 'w::/64']}"),
        ("{name: a} # A", "{name: a, routes: [v, 'w::/64']} # A"),
        ("name: a # A", "name: a # A\n    routes: [v, 'w::/64']"),
        (
            "name: a\n    routes:\n    - x\n    -   y # Y\n    b: c",
            "name: a\n    routes: [v, 'w::/64'] # Y\n    b: c",
        ),
        ("name: a\n    routes : [x,\n     y]", "name: a\n    routes : [v, 'w::/64']"),
        ("name: a\n    routes:\n     [x]", "name: a\n    routes: [v, 'w::/64']"),
    ],
)
def test_another_list(before: str, after: str) -> None:
    networks: Plain = ["v", "w::/64"]

    def change(users: list[Plain]) -> None:
        assert isinstance(users[0], list)
        pairs = dict(pair for pair in users[0] if isinstance(pair, tuple))
        users[0] = [*(pairs | {"routes": networks}).items()]

    users = UsersText(f"users:\n  - {before}\nend: x\n")
    text = users.set(0, "routes", ["v", "w::/64"])
    assert verified(users, text, change).text == f"users:\n  - {after}\nend: x\n"


@pytest.mark.parametrize(
    "routes",
    ["\n    - x # X\n    - y", " # both\n    - x\n    - y", " [x, # X\n     y]", " {}"],
)
def test_a_list_that_would_lose_something_is_left_alone(routes: str) -> None:
    users = UsersText(f"users:\n  - name: a\n    routes:{routes}\n")
    with pytest.raises(CannotEdit):
        users.set(0, "routes", ["v"])


def test_removing_the_last_of_a_flow_sequence_keeps_comments() -> None:
    users = UsersText("users: [{name: a}, # A\n  {name: b}  # B\n]\n")
    assert users.remove(1) == "users: [{name: a}, # A\n    # B\n]\n"


@pytest.mark.parametrize(
    "text",
    [
        "users:\n  - &a {name: a, password: &p x}\n  - {name: b, password: *p}\n",
        "x: &u [{name: a, password: x}, {name: b, password: y}]\nusers: *u\n",
        "users:\n  - name: a\n  - ? name\n    : b\n    ? password\n    : *x\n",
    ],
)
def test_what_would_come_out_otherwise_is_refused(text: str) -> None:
    def change(users: list) -> None:  # type: ignore[type-arg]
        users[1] = [("name", "b"), ("password", "new")]

    with pytest.raises((CannotEdit, yaml.YAMLError)):
        verified(UsersText(text), UsersText(text).set(1, "password", "new"), change)


def test_users_that_are_no_list_are_refused() -> None:
    with pytest.raises(CannotEdit):
        UsersText("users: {a: b}\n")


# Random files: what is not the edited user's own is the same, octet by octet.

COMMENT = st.sampled_from(["", "  # a: [comment", "\t# - {name: x}", "   "])
OWN_LINES = st.lists(st.sampled_from(["", "# - name: nobody", "      # users:", "   "]), max_size=2)


@st.composite
def quoted(draw: st.DrawFn, text: str) -> str:
    if draw(st.booleans()):
        return scalar(text)
    if draw(st.booleans()):
        return "'" + text.replace("'", "''") + "'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if text.isprintable() else scalar(text)


@st.composite
def pieces(draw: st.DrawFn) -> tuple[list[str], list[str], str]:
    """Return names, the text of each user, and what is before, between and behind them."""
    count = draw(st.integers(1, 4))
    flow = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    indent = " " * draw(st.integers(0, 3))
    names, users = [], []
    for number in range(count):
        names.append(f"u{number}")
        pairs = [f"name: {draw(quoted(f'u{number}'))}", f"password: {draw(quoted(draw(TEXTS)))}"]
        if draw(st.booleans()):
            pairs.insert(draw(st.integers(0, 2)), "address: 10.0.0.1")
        if flow[number]:
            users.append(f"{indent}- {{{draw(st.sampled_from([', ', ' ,', ',  '])).join(pairs)}}}")
        else:
            gap = draw(st.integers(1, 3))
            lines = [f"{indent}-{' ' * gap}{pairs[0]}{draw(COMMENT)}"]
            for pair in pairs[1:]:
                lines += draw(OWN_LINES)
                lines.append(f"{indent} {' ' * gap}{pair}")
            users.append("\n".join(lines))
        users[-1] += draw(COMMENT) + "\n"
    head = "".join(line + "\n" for line in draw(OWN_LINES)) + "a: 'b' # c\nusers:"
    return names, users, head + draw(COMMENT) + "\n"


@given(pieces(), st.data())
def test_everything_else_stays_octet_by_octet(
    made: tuple[list[str], list[str], str], data: st.DataObject
) -> None:
    names, parts, head = made
    ending = data.draw(st.sampled_from(["\n", "\r\n"]))
    gaps = ["".join(x + "\n" for x in data.draw(OWN_LINES)) for _ in parts]
    tail = data.draw(st.sampled_from(["", "z: {y: x} # end\n", "# end"]))
    index = data.draw(st.integers(0, len(parts) - 1))

    def whole(changed: list[str]) -> str:
        text = head + "".join(gap + part for gap, part in zip(gaps, changed, strict=True)) + tail
        return text.replace("\n", ending)

    text = whole(parts)
    users = UsersText(text)
    assert users.names() == names
    assert users.find(names[index]) == index
    before = text[: text.index(parts[index].replace("\n", ending))]
    after = text[len(before) + len(parts[index].replace("\n", ending)) :]

    def check(new: str, change: Callable[[list], None]) -> str:  # type: ignore[type-arg]
        assert verified(users, new, change).text == new
        assert new.startswith(before)
        assert new.endswith(after)
        return new[len(before) : len(new) - len(after)]

    value = data.draw(TEXTS)

    def with_password(u: list) -> None:  # type: ignore[type-arg]
        u[index] = [(k, value if k == "password" else v) for k, v in u[index]]

    check(users.set(index, "password", value), with_password)
    disabled = users.set(index, "disabled", "true")
    check(disabled, lambda u: u[index].append(("disabled", "true")))
    again = UsersText(disabled)
    assert again.unset(index, "disabled") == text
    if len(parts) > 1:
        assert check(users.remove(index), lambda u: u.pop(index) and None) == ""
    added = users.add({"name": "new", "password": value})
    verified(users, added, lambda u: u.append([("name", "new"), ("password", value)]))
    assert UsersText(added).remove(len(parts)) == text


@given(
    st.integers(1, 4),
    st.sampled_from([", ", " ,\n  ", ",  # a ] } comment\n   ", "  # b\n  , "]),
    st.sampled_from(["", " ", "\n  ", " # c\n "]),
    st.sampled_from(["", ",", " , # d\n"]),
    TEXTS,
    st.data(),
)
def test_a_flow_sequence_keeps_its_comments(
    count: int, between: str, opening: str, closing: str, value: str, data: st.DataObject
) -> None:
    parts = [f"{{name: u{n}, password: {scalar(value)}}}" for n in range(count)]
    text = f"users: [{opening}{between.join(parts)}{closing}]  # end\nb: c\n"
    index = data.draw(st.integers(0, count - 1))
    users = UsersText(text)
    removed = verified(users, users.remove(index), lambda u: u.pop(index) and None)
    comments = re.compile("# [a-d].*")
    assert comments.findall(removed.text) == comments.findall(text)
    assert removed.names() == [f"u{n}" for n in range(count) if n != index]
    disabled = users.set(index, "disabled", "true")
    assert disabled.replace(", disabled: true", "") == text
    assert UsersText(disabled).unset(index, "disabled") == text
    added = users.add({"name": "new"})
    verified(users, added, lambda u: u.append([("name", "new")]))
    assert added.replace(", {name: new}", "") == text
