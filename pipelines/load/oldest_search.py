"""Finds the oldest day that the server still has 5-minute data of, in few calls, and keeps it and their data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import orjson

from pipelines.lake.durable import write_durably
from pipelines.load.services import Services, state_dir
from pipelines.planning.calendar import period_window
from pipelines.planning.cells import Cell, Subject, wanted_cells
from pipelines.planning.history_call import HistoryCall
from pipelines.planning.oldest import OldestDay, probe_call
from pipelines.planning.policy import Policy

DATASET = "device_history"


@dataclass
class OldestSearch:
    """One home's search; the file is shared by all its workers."""

    services: Services
    devices: Mapping[str, Subject]
    policy: Policy

    def __post_init__(self) -> None:
        """Go on from where an earlier worker stopped."""
        self._state = self._read()

    @property
    def found(self) -> date | None:
        """The oldest day, once it is known."""
        return self._state.found if self._state else None

    def next_call(self, now: datetime) -> HistoryCall | None:
        """The next look to take; None when the day is known, or nothing can be found out yet."""
        # Another worker may have looked meanwhile; looks are taken in turns.
        self._state = self._read() or self._state or self._begin(now)
        if self._state is None:
            return None
        newest = self._newest()
        if newest is not None:
            self._state.recheck(now.astimezone(UTC).date(), newest)
        while (day := self._state.probe()) is not None:
            call = probe_call(self.devices.values(), day, self._state.looks)
            if call is not None:
                cells = self._cells(call, now)
                if cells:
                    return HistoryCall(call.device_type_id, call.device_ids, call.start, call.end, cells)
            self._state.note(day, False)
        self._state.settle(now.astimezone(UTC).date())
        self._write()
        return None

    def note(self, call: HistoryCall) -> bool:
        """Learn from what the look brought into coverage; False if it brought nothing, not even that there is none.

        It may not have gone out: another worker asks for these cells just now, or their account can't log in.
        """
        assert self._state is not None
        day = self._state.probe()
        assert day is not None
        known = self.services.coverage.entries_of([(DATASET, cell.subject, cell.period) for cell in call.cells])
        if all(entry.state == "missing" for entry in known.values()):
            return False
        seen = [entry.period for entry in known.values() if entry.rows]
        self._state.note(day, bool(seen), min(seen, default=None))
        self._write()
        return True

    def _begin(self, now: datetime) -> OldestDay | None:
        """Between the first day that is wanted and one that is known to have data; None while there is neither."""
        starts = [self.policy.start(DATASET, device) for device in self.devices.values()]
        wanted = [start for start in starts if start is not None]
        newest = self._newest()
        if not wanted or newest is None:
            return None
        return OldestDay.between(min(wanted), newest)

    def _newest(self) -> date | None:
        return self.services.coverage.newest_with_rows(DATASET)

    def _cells(self, call: HistoryCall, now: datetime) -> tuple[Cell, ...]:
        """The whole local days of its devices that a look sees."""
        found = []
        for name in call.device_ids:
            device = self.devices[name]
            for cell in wanted_cells(DATASET, [device], call.start.date(), call.end.date(), now):
                window = period_window("day", cell.period, device.zone)
                if call.start <= window.start and window.end <= call.end:
                    found.append(cell)
        return tuple(found)

    @property
    def _file(self) -> Path:
        return state_dir(self.services.settings.home) / "oldest_day.json"

    def _read(self) -> OldestDay | None:
        try:
            return OldestDay.from_dict(orjson.loads(self._file.read_bytes()))
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            return None  # a search begun anew costs a dozen calls

    def _write(self) -> None:
        assert self._state is not None
        write_durably(self._file, orjson.dumps(self._state.as_dict()))
