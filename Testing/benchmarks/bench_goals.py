"""What a goal gains and costs: the parotid of each validation case asked to get 5 Gy less than it is predicted to.

    python Testing/benchmarks/bench_goals.py --data DIR --cases 8

The cases are not part of this repository: DIR is a folder of OpenKBP's `pt_*.npz`, by default `../shared/openkbp/validation` beside it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from dose_prediction.case import DoseGoal
from dose_prediction.model.bundle import load_bundle
from dose_prediction.openkbp import find_cases, read_case
from dose_prediction.prediction import predict
from dose_prediction.prediction_cache import PredictionCache
from dose_prediction.report import text_table
from dose_prediction.trade_offs import MetricChange

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DATA = ROOT.parent / "shared" / "openkbp" / "validation"
ASKED_GY = 5.0
GAIN_AT_LEAST_GY, COVERAGE_WITHIN_GY = 3.0, 1.0


@dataclass(frozen=True)
class Steered:
    """One case steered: the parotid's change, the largest change of a target's D95, and the dearest cost to another organ."""

    case: str
    parotid: MetricChange
    coverage: MetricChange
    dearest: MetricChange
    seconds: float

    @property
    def is_reached(self) -> bool:
        return self.parotid.change_gy <= -GAIN_AT_LEAST_GY and abs(self.coverage.change_gy) <= COVERAGE_WITHIN_GY

    @property
    def row(self) -> list[str]:
        return [self.case, str(self.parotid), str(self.coverage), str(self.dearest), f"{self.seconds:.1f}", "yes" if self.is_reached else "no"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of pt_*.npz cases")
    parser.add_argument("--cases", type=int, default=8, help="how many cases, evenly chosen (default 8)")
    options = parser.parse_args()
    paths = find_cases(options.data)
    if not paths:
        print(f"No OpenKBP case in {options.data}: nothing is measured. Give their folder with --data.")
        return 0
    found = [steer(path) for path in paths[:: max(1, len(paths) // options.cases)][: options.cases]]
    print(text_table(["Case", "Parotid", "Targets", "Dearest elsewhere", "Seconds", "Reached"], [one.row for one in found]))
    gain = statistics.median(-one.parotid.change_gy for one in found)
    print(f"\n{sum(one.is_reached for one in found)} of {len(found)} cases; median gain {gain:.1f} Gy of {ASKED_GY:g} asked.")
    return 0


def steer(path: Path) -> Steered:
    """Ask the right parotid of one case, or the left where there is no other, for `ASKED_GY` less."""
    case, model, cache = read_case(path), load_bundle(), PredictionCache()
    organs = {organ.role.standard_name: organ for organ in case.organs}
    name = "Parotid_R" if "Parotid_R" in organs else "Parotid_L"
    free = float(predict(case, model, device="cpu", cache=cache).dose_gy[organs[name].mask].mean())
    start = time.perf_counter()
    changes = predict(case, model, device="cpu", goals=[DoseGoal(name, "mean", max(free - ASKED_GY, 0.0))], cache=cache).changes
    seconds = time.perf_counter() - start
    parotid = next(change for change in changes if (change.standard_name, change.metric) == (name, "Dmean"))
    coverage = max((change for change in changes if change.metric == "D95%"), key=lambda change: abs(change.change_gy))
    others = [change for change in changes if change.standard_name not in (name, "PTV")]
    return Steered(case.name, parotid, coverage, max(others, key=lambda change: change.change_gy), seconds)


if __name__ == "__main__":
    sys.exit(main())
