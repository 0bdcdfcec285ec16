"""The closing words of a load: what is there, what waits, what was refused, what failed."""

from pipelines.load.request import LoadReport
from pipelines.load.words import counted


def summary_lines(report: LoadReport) -> list[str]:
    """The report as sentences, most important last."""
    rows = sum(report.rows.values())
    # What is worth most was asked for: what was there wasn't even looked for.
    there = "" if report.next_work_at else f"{report.already_covered:,} were already there, "
    lines = [
        f"{counted(report.total_calls, 'call')}, {counted(rows, 'row')} landed, "
        f"{counted(sum(report.cells.values()), 'period')} read, {there}"
        f"{counted(report.completed, 'partition')} complete."
    ]
    if report.failures and not report.rows and not report.completed:
        lines = []  # a row of zeros above what went wrong would look like a result
    if report.next_work_at is not None and not report.total_calls:
        lines = [] if report.failures else ["Nothing is to be asked for now."]
    if report.provisional or report.empty:
        lines.append(f"{counted(report.provisional, 'period')} provisional (to be read again), {report.empty:,} empty.")
    if report.suspect:
        lines.append(
            f"{counted(report.suspect, 'period')} suspect: answered with nothing at all; "
            "asked again some hours later, and believed when a day later says the same."
        )
    if report.quarantined or report.unreadable_cells or report.implausible_values:
        lines.append(
            f"{counted(report.quarantined, 'record')} in quarantine (ops.quarantine); values: "
            f"{report.unreadable_cells:,} unreadable, {report.implausible_values:,} implausible (ops.schema_drift)."
        )
    lines += [f"Refused: {refusal.what}: {refusal.why}" for refusal in report.refusals]
    for waiting in report.waiting:
        when = f"; go on at {waiting.next_at:%Y-%m-%d %H:%M} UTC" if waiting.next_at else ""
        what = f"{waiting.dataset} waits, as {waiting.why}" if waiting.why else f"The quota ended {waiting.dataset}"
        lines.append(
            f"{what}: {counted(waiting.calls, 'call')} with {counted(waiting.cells, 'period')} "
            f"left{when}. The same command goes on from here; --wait paces itself until all is there."
        )
    lines += [f"Failed: {failure}" for failure in report.failures]
    if report.next_work_at is not None and (report.total_calls or not report.failures):
        lines.append(f"There may be more to do at {report.next_work_at:%Y-%m-%d %H:%M} UTC.")
    if report.published:
        lines.append("The warehouse is published.")
    return lines
