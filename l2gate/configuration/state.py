"""The section state: where leases, sessions and history are kept."""

from importlib.util import find_spec
from pathlib import Path

from l2gate.configuration import values
from l2gate.configuration.files import read_secret_file
from l2gate.configuration.model import StateSettings
from l2gate.configuration.section import Expected, Section
from l2gate.configuration.sections import DEFAULT_NAME

CONNECTION = 'a connection string, such as "host=db.example.com dbname=l2gate"'
EXAMPLE = "file: /var/lib/l2gate/state.db"


def read_state(section: Section, server: str) -> StateSettings | None:
    """Read `state`; None where it does not say where to. `server` is the server's name."""
    file = section.take("file", state_file, None)
    postgresql = section.take("postgresql", connection, None)
    secret = section.take("postgresql_file", Path, None)
    gateway = section.take("gateway", values.host_name, server)
    keep = section.take("keep", values.number(1, 36500), 365)
    section.finish()
    given = [key for key in ("file", "postgresql", "postgresql_file") if key in section]
    if not given:
        section.error(None, f"needs where to keep it: add for example '{EXAMPLE}'")
    for other in given[1:]:
        section.error(other, f"is given beside {given[0]}: remove one of them")
    if file is not None and file.is_dir():
        section.error("file", f"{file} is a directory: name a file in it, such as {file}/state.db")
    elif file is not None and not file.parent.parent.is_dir():
        section.warn("file", f"nothing is kept until there is a directory {file.parent}: make it")
    if secret is not None:
        content = read_secret_file(section, "postgresql_file", secret)
        postgresql = None if content is None else content.decode()
    if postgresql is not None:
        _check(section, given[0], postgresql)
        if "gateway" not in section and server == DEFAULT_NAME:
            section.error(
                None,
                "gateway is missing, a name that no other server has: two that share one end each "
                "other's sessions; add it, or 'server.name'",
            )
    if file is None and postgresql is None:
        return None
    return StateSettings(file, postgresql, gateway, keep)


def _check(section: Section, key: str, text: str) -> None:
    """Note what keeps a connection string from being used; it may hold a password."""
    if find_spec("psycopg") is None:
        section.error(key, "needs psycopg: pip install 'l2gate[postgresql]'")
        return
    # Only who has a PostgreSQL server waits for its driver.
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(text)
    except ProgrammingError:
        section.error(key, f"expected {CONNECTION}: libpq cannot read it")


def state_file(text: str) -> Path:
    """Return where a database is to be."""
    if not text.startswith("/") or text.endswith("/"):
        raise Expected("the absolute path of a file, such as /var/lib/l2gate/state.db")
    return Path(text)


def connection(text: str) -> str:
    """Return a connection string of libpq."""
    if "=" not in text and not text.startswith(("postgresql://", "postgres://")):
        raise Expected(CONNECTION)
    return text
