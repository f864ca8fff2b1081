"""The real servers that tests and benchmarks start for themselves, on free ports of loopback."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SUPPORT = Path(__file__).parents[1] / "support"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(kind: str, *more: str) -> Iterator[str]:
    """``HOST:PORT`` of a server that ends with the block, and with this process."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix=f"millrace-{kind}-") as folder:
        log = Path(folder) / "log"
        # setpriv: a server does not outlive a test run that is killed.
        command = ["setpriv", "--pdeathsig", "KILL", SUPPORT / kind / "serve", folder, str(port)]
        with log.open("w") as out:
            server = subprocess.Popen([*command, *more], stdout=out, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + 300
            while not answers(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{kind} does not start: {log.read_text()}")
                time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def redis() -> contextlib.AbstractContextManager[str]:
    return running("redis", "no")


def rabbitmq() -> contextlib.AbstractContextManager[str]:
    return running("rabbitmq", *(str(free_port()) for _ in range(3)))


def kafka() -> contextlib.AbstractContextManager[str]:
    return running("kafka", str(free_port()))
