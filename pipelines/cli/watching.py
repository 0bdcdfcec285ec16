"""Progress of a load on stderr: bars on a terminal, one line a stage where the output is kept."""

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pipelines.cli.common import say, stderr
from pipelines.load.request import CompletedPartition


class ConsoleListener:
    """Draws what a load does; a context manager, so that bars end when the load does."""

    def __init__(self) -> None:
        """Bars only where somebody watches."""
        self._live = stderr.is_terminal
        self._bars = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=stderr,
            disable=not self._live,
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: set[str] = set()
        self.partitions = 0

    def __enter__(self) -> Self:
        """Start drawing."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state of the bars on screen."""
        self._bars.stop()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Move a stage's bar, or print a line when a stage begins and there is work in it."""
        if not total:
            return
        if not self._live:
            if stage not in self._said:
                self._said.add(stage)
                say(f"{stage}: {total} step{'s' if total > 1 else ''}")
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)

    def message(self, text: str) -> None:
        """Print a sentence above the bars."""
        say(text)

    def completed(self, partition: CompletedPartition) -> None:
        """Count completed partitions; the closing summary names the number."""
        self.partitions += 1
