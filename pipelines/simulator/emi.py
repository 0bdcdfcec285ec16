"""Rows of the weather sensor (type 10): irradiation in the plane of the modules."""

from typing import Final

import numpy as np

from pipelines.simulator.energy import IRRADIATION
from pipelines.simulator.rounding import rounded
from pipelines.simulator.span import Columns, Span

MJ_PER_KWH: Final = 3.6


def emi_columns(span: Span) -> Columns:
    """The sensor. `radiant_total` (MJ/m2) counts from local midnight: the row of midnight closes the day before.

    The horizontal items are invalid fields of the reference: null.
    """
    air = span.month.sky.air[span.inside].astype(np.float64)
    light = span.power(IRRADIATION) * 1000
    slow = np.sin(span.times / 7_200_000 + span.device.id % 97)
    return {
        "temperature": rounded(air, 1),
        "pv_temperature": rounded(air + light * 0.028, 1),
        "wind_speed": rounded(2.6 + 1.8 * slow + 0.5 * span.noise(51), 1),
        "wind_direction": rounded((210 + 80 * slow + 10 * span.noise(52)) % 360, 0),
        "radiant_total": rounded(span.month.today(IRRADIATION, span.inside) * MJ_PER_KWH, 3),
        "radiant_line": rounded(light, 1),
    }
