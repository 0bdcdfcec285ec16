"""The real commands as processes of their own: `pvms simulator` in the background, the others on a home."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from pipelines.simulator.log import RequestRecord, read_log

PVMS = Path(sys.executable).with_name("pvms")
PATIENCE_SECONDS = 1500.0
"""Nothing here takes that long, six loads at once on a busy machine included; it ends a test whose processes hang."""

TIMES_AND_HOMES = ("SMARTPVMS_", "PVMS_", "DAGSTER_HOME", "TZ")


@dataclass(frozen=True)
class Server:
    """A simulator that runs: where it answers, and the file that it logs every request to."""

    base_url: str
    log_file: Path

    def calls(self, endpoint: str | None = None) -> list[RequestRecord]:
        """What it was asked so far."""
        return [record for record in read_log(self.log_file) if endpoint in (None, record.endpoint)]


def environment(home: Path, base_url: str, **further: str) -> dict[str, str]:
    """The surroundings of a command: a home, the simulator's account if there is one, no setting of ours."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(TIMES_AND_HOMES)}
    account = {
        "SMARTPVMS_BASE_URL": base_url,
        "SMARTPVMS_USERNAME": "demo",
        "SMARTPVMS_PASSWORD": "demo-password",
    }
    # A process whose own zone is far from every plant's: nothing may hang on it.
    return plain | {"PVMS_HOME": str(home), "TZ": "Pacific/Kiritimati", **(account if base_url else {}), **further}


@contextmanager
def simulator_process(folder: Path, *options: str) -> Iterator[Server]:
    """`pvms simulator` on a free port, ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    log_file = folder / "requests.jsonl"
    command = [str(PVMS), "simulator", "--port", "0", "--log", str(log_file), *options]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder, ""), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        assert base_url.startswith("http://127.0.0.1:"), f"the simulator said {base_url!r}"
        yield Server(base_url, log_file)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)


def pvms(home: Path, base_url: str, *arguments: str, **further: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    home.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [str(PVMS), *arguments],
        cwd=home.parent,
        env=environment(home, base_url, **further),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def loaded(home: Path, base_url: str, start: str, end: str, *options: str, code: int = 0, **further: str) -> str:
    """`pvms load` of local dates, which must end with `code`; what it said on stderr."""
    done = pvms(home, base_url, "load", "--from", start, "--to", end, *options, **further)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


def signalled(
    home: Path, base_url: str, arguments: list[str], number: signal.Signals, when: Callable[[], bool]
) -> subprocess.CompletedProcess[str]:
    """Start a command, send it a signal as soon as `when()` holds, and wait for its end."""
    process = subprocess.Popen(
        [str(PVMS), *arguments],
        cwd=home.parent,
        env=environment(home, base_url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = monotonic() + PATIENCE_SECONDS
    while process.poll() is None and not when():
        assert monotonic() < deadline, "what the signal waits for never came"
        sleep(0.005)
    with suppress(ProcessLookupError):
        process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
