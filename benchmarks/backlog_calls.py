"""History calls of a long backlog as the worker plans it, piece by piece, against the least possible; CPU seconds.

    python benchmarks/backlog_calls.py [--days 365] [--fleet portfolio] [--width 15] [--apart]

Pure planning without a server: the simulator's fleet and the worker's pieces in its order of worth, each planned with
what the calls before have left, as if every call were answered. `--apart` plans every piece by itself.
"""

import argparse
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from time import process_time

from pipelines.planning.beam import WIDTH
from pipelines.planning.cells import Cell, Subject
from pipelines.planning.packing import HistoryCall, lower_bound_history, pack_history, pack_newest_first
from pipelines.planning.policy import Group, Policy
from pipelines.planning.worth import Piece, beyond, past_cells, pieces
from pipelines.simulator.fleet import HISTORY_TYPES
from pipelines.simulator.fleets import FLEETS

NOW = datetime(2026, 11, 2, 5, tzinfo=UTC)
"""When the simulated year begins: all plants of the portfolio are connected."""


def devices_of(fleet: str) -> dict[str, Subject]:
    """The devices of a simulated fleet that have a 5-minute history."""
    built = FLEETS[fleet]()
    plants = {plant.code: plant for plant in built.plants}
    return {
        str(device.id): Subject(
            str(device.id),
            device.plant_code,
            device.type_id,
            plants[device.plant_code].zone,
            plants[device.plant_code].first_day,
        )
        for device in built.devices
        if device.type_id in HISTORY_TYPES
    }


def plan(
    piece: Piece, left: Collection[Cell], older: Collection[Cell], devices: Mapping[str, Subject], width: int
) -> list[HistoryCall]:
    """The calls of one piece, newest first."""
    calls = pack_newest_first(left, older, devices, width) if older else pack_history(left, devices)
    return sorted(calls, key=lambda call: call.end, reverse=True)


def main() -> None:
    """Plan and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--fleet", default="portfolio", choices=FLEETS)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--apart", action="store_true", help="plan every piece by itself")
    options = parser.parse_args()
    devices = devices_of(options.fleet)
    policy = Policy(Group("all", history_since=NOW.date() - timedelta(days=options.days)))
    done: set[Cell] = set()
    wanted: list[Cell] = []
    calls: Counter[int] = Counter()
    began = process_time()
    for piece in pieces({"device_history": list(devices.values())}, policy, NOW):
        cells = past_cells(piece, devices.values(), policy, NOW)
        ahead = beyond(piece)
        older = [] if options.apart else past_cells(ahead, devices.values(), policy, NOW)
        wanted += cells
        left = [cell for cell in cells if cell not in done]
        for call in plan(piece, left, [cell for cell in older if cell not in done], devices, options.width):
            assert done.isdisjoint(call.cells), "a day is carried twice"
            done.update(call.cells)
            calls[call.device_type_id] += 1
    took = process_time() - began
    assert done == set(wanted), "a wanted day isn't carried, or one that isn't wanted is"
    least_of_all = 0
    print(f"{'type':>6}{'devices':>9}{'calls':>7}{'least':>7}{'above':>8}")
    for kind in sorted(calls):
        own = [cell for cell in wanted if devices[cell.subject].device_type_id == kind]
        least = lower_bound_history(own, devices)
        least_of_all += least
        count = sum(each.device_type_id == kind for each in devices.values())
        print(f"{kind:>6}{count:>9}{calls[kind]:>7}{least:>7}{calls[kind] / least - 1:>8.1%}")
    total = sum(calls.values())
    print(f"{'all':>6}{len(devices):>9}{total:>7}{least_of_all:>7}{total / least_of_all - 1:>8.1%}", end="")
    print(f"   {took:.1f} CPU s of planning")


if __name__ == "__main__":
    main()
