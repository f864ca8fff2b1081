"""The Kafka server of build/kafka (tools/lib/jars.sh) on free ports, for tests that kill it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_SERVE = Path(__file__).parents[2] / "tests/support/kafka/serve"
_START_S = 120


def free_ports(count: int) -> list[int]:
    """Ports of loopback, all different, that nobody listens on at this moment."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class KafkaServer:
    """A broker that is its own controller, with its data in ``folder``. Stop it when done."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log"
        self._port, controller = free_ports(2)
        # setpriv: it does not outlive a test run that is killed.
        self._command = ["setpriv", "--pdeathsig", "KILL", str(_SERVE), str(folder)]
        self._command += [str(self._port), str(controller)]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def address(self) -> str:
        """For ``bootstrap.servers``."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts it, for the first time or again, and waits until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"the Kafka server did not start; its log is {self._log}")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """It stands still, and answers nobody, until the block ends."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Kills it; what it has acknowledged is in its folder."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            self._process = None
