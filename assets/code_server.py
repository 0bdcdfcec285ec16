"""The code server that Dagster's web server and daemon share under `pvms ui`.

Left to themselves each starts one of its own, and the daemon another in every minute. What the definitions hang on
changes seldom: then the one server is told to load them anew, and both see it.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dagster._core.errors import DagsterUserCodeUnreachableError

# No public name talks to a code server; Dagster's own `dagster dev` uses these, too.
from dagster._grpc.client import DagsterGrpcClient

from assets.partitions import plan_file
from pipelines.settings import Settings

LOAD_SECONDS: Final = 600
"""How long loading anew may take on a busy machine."""

Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class CodeServer:
    """A code location served on a socket in a folder that only its owner can enter."""

    folder: Path
    location: Sequence[str]

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "code.sock"

    @property
    def arguments(self) -> list[str]:
        """Of `python -m`, to start it."""
        return ["dagster", "code-server", "start", "--socket", str(self.socket), *self.location]

    @property
    def shared(self) -> list[str]:
        """Arguments of the web server and the daemon, which then start none."""
        return ["--workspace", str(self.folder / "workspace.yaml")]

    def write_workspace(self) -> None:
        """Write the file that `shared` names; the location keeps the name that its module gives it."""
        server = {"grpc_server": {"socket": str(self.socket), "location_name": self.location[-1]}}
        (self.folder / "workspace.yaml").write_text(json.dumps({"load_from": [server]}), encoding="utf-8")

    @property
    def serves(self) -> bool:
        """Whether it answers."""
        try:
            DagsterGrpcClient(socket=str(self.socket)).heartbeat()
        except DagsterUserCodeUnreachableError:
            return False
        return True

    def load_anew(self) -> None:
        """Have it load the code location in a new process; one that is being started does so anyhow."""
        with suppress(DagsterUserCodeUnreachableError):
            DagsterGrpcClient(socket=str(self.socket)).reload_code(timeout=LOAD_SECONDS)


@contextmanager
def code_server_of(location: Sequence[str]) -> Iterator[CodeServer]:
    """A server that is still to be started; its folder goes with the block. A socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="pvms-ui-") as folder:
        server = CodeServer(Path(folder), location)
        server.write_workspace()
        yield server


class Sources:
    """What the definitions are made from: the settings and how the assets are partitioned."""

    def __init__(self, settings: Settings) -> None:
        """Look at them for the first time."""
        self._files = [plan_file(settings), *filter(None, [settings.env_file])]
        self._seen = self._stamps()

    def changed(self) -> bool:
        """Whether one of them is another than at the last look."""
        seen, self._seen = self._seen, self._stamps()
        return seen != self._seen

    def _stamps(self) -> list[Stamp]:
        return [_stamp(path) for path in self._files]


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
