"""Whether meters and batteries still mean what they meant: signs, units, counters (docs/figures.md 3)."""

from typing import Any, Final

from pipelines.checks.look import Look
from pipelines.checks.outcome import ERROR_SHARE, Outcome, judged

EVIDENCE_DAYS: Final = 3
AGREEMENT: Final = 0.9
"""docs/figures.md 3; ops.conventions knows nothing by less than that."""

_QUERY: Final = """
select plant_code, device_id, device_kind,
    sign_contradicts_setting, unit_contradicts_setting,
    round(power_sign_agreement, 3) as sign_agreement, power_sign_evidence_days as sign_days,
    round(power_unit_agreement, 3) as unit_agreement, power_unit_evidence_days as unit_days,
    round(import_counter_agreement, 3) as import_agreement, import_counter_evidence_days as import_days
from ops.conventions order by plant_code, device_id
"""


def conventions(look: Look) -> Outcome:
    """Devices whose evidence contradicts the owner's setting, or is at odds with itself: something has flipped.

    A contradiction is an ERROR however few they are: every figure in a direction is the other way round.
    """
    found = look.rows(_QUERY)
    off = [{**each, "what": what} for each in found if (what := _what_is_off(each))]
    contradicted = any("contradicts" in each["what"] for each in off)
    return judged(
        [_told(each) for each in off],
        len(found),
        "meters and batteries",
        good="have the sign, unit and counters that their evidence shows",
        bad="contradict their settings, or changed sign, unit or counters",
        look="Look at these rows of ops.conventions and at the wiring. Where a setting is contradicted, correct it in "
        "the devices file (power_sign, unit); where evidence is divided, directional columns are null until it is set.",
        figures={"unknown": sum(not _is_known(each) for each in found)},
        error_share=0.0 if contradicted else ERROR_SHARE,
    )


def _what_is_off(each: Any) -> str | None:
    for name in ("sign", "unit"):
        if each[f"{name}_contradicts_setting"]:
            return f"{name} contradicts the devices file"
    for name in ("sign", "unit", "import"):
        agreement = each[f"{name}_agreement"]
        if (each[f"{name}_days"] or 0) >= EVIDENCE_DAYS and agreement is not None and agreement < AGREEMENT:
            return f"evidence of {name} is divided"
    return None


def _is_known(each: Any) -> bool:
    return (each["sign_days"] or 0) >= EVIDENCE_DAYS


def _told(each: Any) -> dict[str, Any]:
    names = ("plant_code", "device_id", "device_kind", "what", "sign_agreement", "unit_agreement", "import_agreement")
    return {name: each[name] for name in names}
