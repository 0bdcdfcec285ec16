"""The sun of the dbt project against pvlib's."""

from datetime import UTC, datetime, timedelta

import duckdb
import jinja2
import numpy as np
import pandas as pd
from pvlib import solarposition

from schemas.generate_dbt import DBT_DIR


def test_the_suns_elevation_is_pvlibs_to_a_fiftieth_of_a_degree() -> None:
    macros = (DBT_DIR / "macros" / "sun.sql").read_text(encoding="utf-8")
    query = (
        jinja2.Environment(autoescape=False)
        .from_string(macros + "{{ with_sun_elevation('places', 'moment') }}")
        .render()
    )
    chance = np.random.default_rng(1)
    latitude, longitude = chance.uniform(-75, 75, 400), chance.uniform(-180, 180, 400)
    start = datetime(2015, 1, 1, tzinfo=UTC)
    at = [start + timedelta(minutes=float(each)) for each in chance.uniform(0, 20 * 365 * 1440, 400)]
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute("create table places (number integer, latitude double, longitude double, moment timestamptz)")
        rows = [(n, float(latitude[n]), float(longitude[n]), at[n]) for n in range(400)]
        con.executemany("insert into places values (?, ?, ?, ?)", rows)
        con.execute("insert into places values (400, null, null, '2026-06-01 12:00:00+00')")
        found = con.execute(f"select sun_elevation_deg from {query} order by number").fetchall()
    index = pd.DatetimeIndex(at)
    expected = [
        solarposition.get_solarposition(index[n : n + 1], latitude[n], longitude[n])["elevation"].iloc[0]
        for n in range(400)
    ]
    assert found[400] == (None,)
    assert np.abs(np.array([each[0] for each in found[:400]]) - np.array(expected)).max() < 0.02
