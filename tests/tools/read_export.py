"""Reads an export as an analyst would, with one tool; prints rows and sums as JSON. Run by the tools' own Python."""

import json
import sys
from pathlib import Path

TABLE = "fct_plant_day"
INSTANT = "day_start_utc"


def summed(rows: int, kwh: float, seconds: float, march: int) -> dict[str, float]:
    """Rows, energy, the sum of the instants as seconds since 1970 UTC, and the rows of the month of the newest day."""
    return {"rows": rows, "kwh": round(kwh, 6), "seconds": round(seconds), "last_month": march}


def with_pandas(folder: Path) -> dict[str, float]:
    import pandas as pd

    frame = pd.read_parquet(folder)
    last = frame["local_date"].max()
    mine = frame[(frame["year"].astype(int) == last.year) & (frame["month"].astype(int) == last.month)]
    epoch = pd.Timestamp(0, tz="UTC")
    seconds = ((frame[INSTANT] - epoch) / pd.Timedelta(seconds=1)).sum()
    return summed(len(frame), frame["pv_energy_kwh"].sum(), seconds, len(mine))


def with_polars(folder: Path) -> dict[str, float]:
    import polars as pl

    frame = pl.read_parquet(folder, hive_partitioning=True)
    last = frame["local_date"].max()
    mine = frame.filter((pl.col("year") == last.year) & (pl.col("month") == last.month))
    return summed(frame.height, frame["pv_energy_kwh"].sum(), frame[INSTANT].dt.epoch("s").sum(), mine.height)


def with_pyarrow(folder: Path) -> dict[str, float]:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    table = ds.dataset(folder, partitioning="hive").to_table()
    last = pc.max(table["local_date"]).as_py()
    mine = pc.and_(pc.equal(table["year"], last.year), pc.equal(table["month"], last.month))
    stamps = [each.timestamp() for each in table[INSTANT].to_pylist()]
    return summed(table.num_rows, pc.sum(table["pv_energy_kwh"]).as_py(), sum(stamps), pc.sum(mine).as_py())


def with_duckdb(folder: Path) -> dict[str, float]:
    import duckdb

    row = duckdb.sql(
        f"with rows as (from read_parquet('{folder}/**/*.parquet', hive_partitioning = true)) "
        f"select count(*), sum(pv_energy_kwh), sum(epoch({INSTANT})), "
        "count(*) filter (where (year, month) = "
        "(select (year(max(local_date)), month(max(local_date))) from rows)) from rows"
    ).fetchall()[0]
    return summed(*row)


def with_spark(folder: Path) -> dict[str, float]:
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.shuffle.partitions", "1").config("spark.driver.memory", "1g").getOrCreate()
    try:
        frame = spark.read.parquet(str(folder))
        last = frame.agg(f.max("local_date")).first()[0]
        mine = frame.filter((f.col("year") == last.year) & (f.col("month") == last.month)).count()
        row = frame.agg(f.count("*"), f.sum("pv_energy_kwh"), f.sum(f.unix_timestamp(INSTANT))).first()
        return summed(row[0], row[1], row[2], mine)
    finally:
        spark.stop()


def with_rdtools(folder: Path) -> dict[str, float]:
    """Normalised energy of the plant with a sensor, by rdtools from its own frame."""
    import pandas as pd
    import rdtools

    path = next(each for each in sorted(folder.glob("*.parquet")) if _sensor(pd.read_parquet(each)))
    frame, facts = pd.read_parquet(path), json.loads(path.with_suffix(".json").read_text())
    power = {"poa_global": frame[_sensor(frame)], "power_dc_rated": facts["power_dc_rated"]}
    normalized, insolation = rdtools.normalize_with_pvwatts(frame["pv"], power)
    day = rdtools.aggregation_insol(normalized, insolation, "D")
    energy = frame["pv"].sum() / 1000
    return {"kwh": round(float(energy), 6), "normalized": round(float(day.dropna().median()), 4)}


def with_availability(folder: Path) -> dict[str, float]:
    """Availability of the plant with a sensor in the span, by rdtools from its own frame; an inverter of it is lost."""
    import pandas as pd
    from rdtools.availability import AvailabilityAnalysis

    path = next(p for p in sorted(folder.glob("*.parquet")) if pd.read_parquet(p)["power_expected"].notna().any())
    frame, facts = pd.read_parquet(path), json.loads(path.with_suffix(".json").read_text())

    def found(inverters: "pd.DataFrame") -> float:
        system = inverters.sum(axis="columns", min_count=1)
        analysis = AvailabilityAnalysis(system, inverters, frame["energy_cumulative"], frame["power_expected"])
        analysis.run(rollup_period="YE")
        results = analysis.results
        lost, made = results["lost_production"].sum(), results["actual_production"].sum()
        return round(float(made / (made + lost)), 4)

    inverters = frame[facts["subsystems"]]
    broken = inverters.copy()
    noon = frame["power_system"].idxmax()
    broken.loc[noon - pd.Timedelta("2h") : noon + pd.Timedelta("2h"), inverters.columns[0]] = 0
    return {"inverters": inverters.shape[1], "whole": found(inverters), "broken": found(broken)}


def with_pvanalytics(folder: Path) -> dict[str, float]:
    """Completeness by day and NREL's performance ratio, by pvanalytics from pvlib's names."""
    import pandas as pd
    from pvanalytics.metrics import performance_ratio_nrel
    from pvanalytics.quality.gaps import completeness_score
    from pvanalytics.quality.time import spacing

    path = next(each for each in sorted(folder.glob("*.parquet")) if _sensor(pd.read_parquet(each)))
    frame, facts = pd.read_parquet(path), json.loads(path.with_suffix(".json").read_text())
    score = completeness_score(frame[_sensor(frame)])
    ratio = performance_ratio_nrel(
        frame[_sensor(frame)], frame["temp_air"], frame["wind_speed"], frame["pac"], facts["pdc0"]
    )
    regular = bool(spacing(frame.index, "5min").all())
    return {"regular": regular, "completeness": round(float(score.median()), 3), "ratio": round(float(ratio), 3)}


def with_odse(folder: Path) -> dict[str, float]:
    """How many records ODS-E's own validator accepts."""
    import odse
    import pandas as pd

    records = [
        {key: value for key, value in row.items() if value is not None and value == value}
        for path in sorted(folder.glob("*.parquet"))
        for row in pd.read_parquet(path).to_dict("records")
    ]
    result = odse.validate_batch(records)
    return {"valid": result.valid, "invalid": result.invalid}


def _sensor(frame) -> str | None:
    names = ("poa_global", "ghi", "irradiance_unverified_plane")
    return next((name for name in names if name in frame and frame[name].notna().any()), None)


READERS = {
    "pandas": with_pandas,
    "polars": with_polars,
    "pyarrow": with_pyarrow,
    "duckdb": with_duckdb,
    "spark": with_spark,
    "rdtools": with_rdtools,
    "availability": with_availability,
    "pvanalytics": with_pvanalytics,
    "odse": with_odse,
}

if __name__ == "__main__":
    pairs = (each.split("=", 1) for each in sys.argv[1:])
    json.dump({name: READERS[name](Path(folder)) for name, folder in pairs}, sys.stdout)
