"""The login-name rule, and what is most likely wrong when a name does not match.

A login name is the configured name exactly, letter case included. `bob@sales.example.com` is a
user of the department that has the domain `sales.example.com`; `bob` without a suffix is a user
of the department `default`; one is never taken for the other.

A Windows domain before the name (`LAPTOP\\bob`, RFC 2759 section 4) is no part of it: Windows
puts its own computer's or domain's name there, which says nothing about our departments, and no
configured name contains a backslash.
"""

from aaa.directory import DEFAULT_DEPARTMENT, Directory, suffix_of


def user_name(login: str) -> str:
    """Return the name that a login stands for: without the Windows domain."""
    return login.rpartition("\\")[2]


def hint_for_unknown(name: str, directory: Directory) -> str:
    """Say what a peer that logs in as the unknown `name` most likely did wrong, for the log."""
    similar = directory.similar(name)
    for known in similar:
        if known.casefold() == name.casefold():
            return f"the user is configured as {known!r}: letter case counts"
    known_as = f"the user is configured as {similar[0]!r}" if similar else ""
    if directory.department_of(name) is None:
        suffix = suffix_of(name)
        if suffix is None:
            missing = f"there is no department {DEFAULT_DEPARTMENT!r} for names without a suffix"
        else:
            missing = f"no department has the domain {suffix!r}"
        return f"{missing}; {known_as}: log in with that name" if known_as else missing
    if known_as:
        suffix = suffix_of(similar[0])
        how = "without a suffix" if suffix is None else f"with the suffix @{suffix}"
        return f"{known_as}: log in {how}"
    return f"no user is configured as {name!r}: add it, then reload"
