"""The servers of the demo: Prefect's own and the practice exchange, as processes on loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from wsb_core.domain.errors import ConfigError, Terminal

PREFECT_START_SECONDS = 120
EXCHANGE_START_SECONDS = 60
STOP_SECONDS = 10


def free_port(wanted: int | None = None) -> int:
    """``wanted`` when nothing listens there, any free port when it is None.

    Raises: ConfigError naming the port that is in use, or that no port can have.
    """
    if wanted is not None and not 1 <= wanted <= 65535:
        raise ConfigError(f"port {wanted} does not exist; choose one from 1 to 65535")
    with contextlib.closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError as error:
            raise ConfigError(f"port {wanted} is in use on 127.0.0.1; choose another one") from error
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A child process that answers HTTP; its output goes to a file."""

    def __init__(self, name: str, command: list[str], probe: str, log: Path, env: Mapping[str, str]) -> None:
        self.name, self.probe, self.log = name, probe, log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._out = log.open("wb")
        self.process = subprocess.Popen(
            command,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
        )

    def wait(self, seconds: float) -> None:
        """Until it answers.

        Raises: Terminal with the tail of its output when it ends or stays silent.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Terminal(f"{self.name} ended at start: {self._tail()}")
            with contextlib.suppress(URLError, ConnectionError, TimeoutError), urlopen(self.probe, timeout=2):
                return
            time.sleep(0.2)
        raise Terminal(f"{self.name} did not answer {self.probe} in {seconds:.0f} s: {self._tail()}")

    def stop(self) -> None:
        """Ask it to end, and end it when it does not."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._out.close()

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-4:]) or f"no output ({self.log})"


def prefect_server(home: Path, port: int) -> Server:
    """Prefect's server with its UI, on SQLite under ``home``."""
    env = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return Server("Prefect server", command, f"http://127.0.0.1:{port}/api/health", home / "server.log", env)


def practice_exchange(folder: Path, port: int, options: list[str]) -> Server:
    """The practice exchange, serving past sessions over HTTP and WebSocket."""
    command = [sys.executable, "-m", "wsb_core.cli", "exchange", "serve", "--port", str(port), *options]
    return Server(
        "practice exchange", command, f"http://127.0.0.1:{port}/control/state", folder / "exchange.log", {}
    )


@contextlib.contextmanager
def running(*servers: Server) -> Iterator[None]:
    """The servers, ended in reverse order however the block ends, also when this process is told to end."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        for server in reversed(servers):
            server.stop()
