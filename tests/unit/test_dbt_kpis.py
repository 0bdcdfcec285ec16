"""Every KPI that docs/figures.md defines has its reasons in `dim_plant.kpi_gaps`, and no other name is told there."""

import re

from schemas.generate_dbt import DBT_DIR

FIGURES = DBT_DIR.parent / "docs" / "figures.md"

TOLD_AS = {
    "capacity `p0_kwp`": {"p0"},
    "PV energy (1.)": {"pv_energy"},
    "specific yield": {"specific_yield"},
    "irradiation": {"irradiation"},
    "performance ratio": {"performance_ratio", "pr_poa"},
    "clear-sky energy": {"clear_sky_energy"},
    "peer yield ratio": {"peer_yield_ratio"},
    "availability of inverters": {"availability"},
    # What the four below are reckoned from: no figure of its own in any table.
    "what an inverter could have given": set(),
    "lost energy": {"lost_energy"},
    "limited, derated, shut down by limit": {"limited_hours"},
    "curtailed energy": {"curtailed_energy"},
    "clipping": {"clipping", "clipped_energy"},
    "string mismatch": {"string_mismatch"},
    "night import": {"night_import"},
    "battery round trip": {"battery_round_trip", "battery_cycles"},
    "bill, savings": {"bill", "savings"},
    "targets": {"target"},
    "CO2 avoided": {"co2_avoided"},
    "self-consumption, self-sufficiency": {"self_consumption", "self_sufficiency"},
    "balances": {"balances"},
    "completeness": {"completeness"},
    "alarms": {"alarms"},
}
"""The names in `kpi_gaps` by the first column of the table of KPIs."""


def test_a_plant_tells_of_every_kpi_of_the_table() -> None:
    section = FIGURES.read_text(encoding="utf-8").split("## 2. KPIs")[1].split("\n\n")[0]
    figures = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")][1:]
    assert figures == list(TOLD_AS)
    macro = (DBT_DIR / "macros" / "plant_kpi_gaps.sql").read_text(encoding="utf-8").partition("return([")[2]
    told = re.findall(r"^ {8}\('(\w+)', ", macro, re.MULTILINE)
    assert sorted(told) == sorted(name for names in TOLD_AS.values() for name in names)
