"""Loads what has no past: active alarms and real-time values, as of now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from pipelines.lake.alarms import AlarmPoll, merge_alarms
from pipelines.lake.coverage import Entry
from pipelines.lake.decode import decode
from pipelines.lake.decode_flat import decode_alarms
from pipelines.load.asking import Asker, EndpointBroken, EndpointRefused, Rejected, chunks
from pipelines.load.fleet import Fleet
from pipelines.load.landing import land_rows, note_side_results
from pipelines.load.partitions import Touched
from pipelines.load.request import LoadReport, LoadRequest, Waiting
from pipelines.load.services import Services
from pipelines.northbound.errors import PlantNotAuthorized, QuotaExhausted
from pipelines.northbound.requests import alarms_body, device_realtime_body, plant_realtime_body
from pipelines.planning.calendar import local_date_of
from pipelines.planning.cells import Cell, Subject
from schemas.datasets import DATASETS
from schemas.tables import table_for

BATCH_SIZE: Final = 100
"""Plants, or devices of one type, that one of these calls takes (5.1.2.1, 5.1.2.2, 5.1.3.1)."""

ALARMS_FRESH_FOR: Final = timedelta(days=1)
"""As long as the inventory: a load of days that are final asks for nothing at all within it."""

ALARM_WINDOW: Final = timedelta(days=31)
"""One window of the longest span that no endpoint refuses (code 20027). An alarm raised before it stays as it was."""


def load_instant(
    services: Services,
    request: LoadRequest,
    fleet: Fleet,
    asker: Asker,
    report: LoadReport,
    dataset: str,
    touched: Touched,
) -> None:
    """Poll one of `alarms`, `plant_realtime`, `device_realtime` once.

    Raises:
        LoadStopped: no further call makes sense.
    """
    try:
        if dataset == "alarms":
            _poll_alarms(services, request, fleet, asker, report, touched)
        elif dataset == "plant_realtime":
            _poll_plants(services, request, fleet, asker, report)
        else:
            _poll_devices(services, request, fleet, asker, report)
    except QuotaExhausted as exhausted:
        report.wait_for(Waiting(dataset, 1, 0, exhausted.next_at, exhausted.why))
    except EndpointRefused as refused:
        report.refuse(dataset, refused.error.describe())
    except EndpointBroken:
        pass  # its failures are in the report


def _due_for_alarms(services: Services, request: LoadRequest, subjects: Mapping[str, Subject]) -> list[str]:
    """Plants whose alarms are to be polled: all if alarms were named or forced, else those not seen for a day.

    A load takes alarms along once; who wants them more often names them. Runs of one backfill poll them once together.
    """
    now = services.clock.now()
    if request.force or "alarms" in request.datasets:
        if request.force_since is None:
            return sorted(subjects)
        days = (request.force_since - timedelta(days=1)).date(), (now + timedelta(days=1)).date()
        polled = services.coverage.states("alarms", None, *days).values()
        return sorted(subjects.keys() - {e.subject for e in polled if e.extracted_at > request.force_since})
    around = (now - timedelta(days=2)).date(), (now + timedelta(days=1)).date()
    seen = services.coverage.states("alarms", None, *around).values()
    fresh = {entry.subject for entry in seen if now - entry.extracted_at < ALARMS_FRESH_FOR}
    return sorted(subjects.keys() - fresh)


def _poll_alarms(
    services: Services, request: LoadRequest, fleet: Fleet, asker: Asker, report: LoadReport, touched: Touched
) -> None:
    subjects = fleet.plant_subjects(request.plants)
    now = services.clock.now()
    begin = now - ALARM_WINDOW
    plant_of = {code: code for code in subjects}

    def body(codes: Sequence[str]) -> Mapping[str, Any]:
        return alarms_body(codes, begin, now, language=services.client.language)

    for batch in _batches(fleet, "getAlarmList", _due_for_alarms(services, request, subjects)):
        for reply in asker.ask("getAlarmList", batch, body, plant_of, why=request.why):
            if isinstance(reply, Rejected):
                _refuse(report, "alarms", reply)
                continue
            decoded = decode_alarms(reply.answer.data, extracted_at=reply.answer.server_time, account=reply.account)
            decoded = replace(decoded, rows=fleet.filed(decoded.rows, reply.account))
            note_side_results(services, report, decoded)
            polled_at = reply.answer.server_time
            # A record that could not be read may be any alarm: then nothing counts as gone.
            covered = frozenset(reply.subjects) if decoded.quarantine.is_empty() else frozenset[str]()
            merge_alarms(services.lake, AlarmPoll(decoded.rows, covered, begin, now, polled_at))
            report.rows["alarms"] = report.rows.get("alarms", 0) + decoded.rows.height
            counts = dict(decoded.rows.group_by("plant_code").len().iter_rows())
            services.coverage.record(
                Entry(
                    dataset="alarms",
                    subject=code,
                    plant_code=code,
                    period=local_date_of(polled_at, subjects[code].zone),
                    state="final" if counts.get(code) else "empty",
                    rows=counts.get(code, 0),
                    extracted_at=polled_at,
                    reason=None,
                )
                for code in reply.subjects
            )
            report.cells["alarms"] = report.cells.get("alarms", 0) + len(reply.subjects)
            seen = [Cell("alarms", code, local_date_of(polled_at, subjects[code].zone)) for code in reply.subjects]
            touched.note("alarms", seen, subjects, decoded.rows)


def _batches(fleet: Fleet, endpoint: str, ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Batches of subjects that the same accounts see."""
    for group in fleet.by_accounts(endpoint, ids):
        yield from chunks(sorted(group), BATCH_SIZE)


def _refuse(report: LoadReport, dataset: str, reply: Rejected) -> None:
    if not isinstance(reply.error, PlantNotAuthorized):  # told by plant
        report.refuse(dataset, reply.error.describe())


def _poll_plants(services: Services, request: LoadRequest, fleet: Fleet, asker: Asker, report: LoadReport) -> None:
    _poll(services, request, fleet, asker, report, "plant_realtime", fleet.plant_subjects(request.plants), None)


def _poll_devices(services: Services, request: LoadRequest, fleet: Fleet, asker: Asker, report: LoadReport) -> None:
    for type_id in DATASETS["device_realtime"].device_types:
        devices = fleet.device_subjects((type_id,), request.plants)
        _poll(services, request, fleet, asker, report, "device_realtime", devices, type_id)


def _poll(
    services: Services,
    request: LoadRequest,
    fleet: Fleet,
    asker: Asker,
    report: LoadReport,
    dataset: str,
    subjects: Mapping[str, Subject],
    type_id: int | None,
) -> None:
    table = table_for(dataset, type_id)
    plant_of = {i: s.plant_code for i, s in subjects.items()}

    def body(ids: Sequence[str]) -> Mapping[str, Any]:
        return plant_realtime_body(ids) if type_id is None else device_realtime_body(ids, type_id)

    for batch in _batches(fleet, DATASETS[dataset].endpoint, sorted(subjects)):
        for reply in asker.ask(DATASETS[dataset].endpoint, batch, body, plant_of, why=request.why):
            if isinstance(reply, Rejected):
                _refuse(report, dataset, reply)
                continue
            decoded = decode(
                table,
                reply.answer.data,
                subjects=fleet.subject_frame([subjects[i] for i in reply.subjects], reply.account),
                extracted_at=reply.answer.server_time,
                account=reply.account,
                polled_at=reply.answer.server_time,
            )
            note_side_results(services, report, decoded)
            land_rows(services, report, table, decoded.rows)
