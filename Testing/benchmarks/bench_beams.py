"""Does the dose answer to the beams?  On OpenKBP validation cases and beam sets that no model was trained on.

    make bench          or          python Testing/benchmarks/bench_beams.py --data DIR --cases 6 --model DIR

(a) error against the reference plan, planned again with 5, 7 and 11 fields and one arc (`physics.replan`), beside the physics prior's own error;
(b) what the beams cannot do of the prediction, against the same for the nine fields of the reference; (c) case and beams turned together by
20 degrees, with the grid and, for comparison, redrawn on straight voxels; (d) the mean dose of the structure behind the beam that is switched off.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean

import numpy as np
from bench_prediction import DEFAULT_DATA, SEED, Figure, machine
from numpy.typing import NDArray
from tqdm import tqdm

from dose_prediction.case import Arc, Beam, Grid, PlanCase, equispaced_beams
from dose_prediction.dose_files import resampled
from dose_prediction.model.bundle import Bundle, load_bundle
from dose_prediction.openkbp import Reference, find_cases, read_case, read_reference
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.physics.replan import replanned
from dose_prediction.prediction import Prediction, predict
from dose_prediction.prediction_cache import PredictionCache
from dose_prediction.region import onto_region, planning_region
from dose_prediction.report import text_table

BEAM_SETS: dict[str, tuple[Beam | Arc, ...]] = {
    "5 fields": equispaced_beams(5, 25.0),
    "7 fields": equispaced_beams(7, 13.0),
    "11 fields": equispaced_beams(11, 7.0),
    "one arc": (Arc(181.0, 179.0),),
}
TURN_DEG = 20.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of pt_*.npz cases with their reference doses")
    parser.add_argument("--cases", type=int, default=6, help="only the first so many cases (default 6)")
    parser.add_argument("--model", type=Path, help="folder of another trained model (default: the released one)")
    options = parser.parse_args()
    paths = find_cases(options.data)[: options.cases]
    if not paths:
        print(f"No OpenKBP case in {options.data}: nothing is measured. Give their folder with --data.")
        return 0
    print(*machine(), sep="\n")
    model = Model(load_bundle(options.model))
    cases = [case_figures(model, read_case(path), read_reference(path)) for path in tqdm(paths, unit="case", disable=None)]
    print(f"\n{len(paths)} cases, seed {SEED}; means over the cases\n")
    print(text_table(["Figure", "Measured", "At most", "Reached"], [figure.row for figure in overall(cases)]))
    return 0


@dataclass(frozen=True, eq=False)
class Model:
    """A model, and what its last prediction worked out, so that no beam is traced twice."""

    bundle: Bundle
    cache: PredictionCache = field(default_factory=PredictionCache)

    def predicted(self, case: PlanCase) -> Prediction:
        return predict(case, self.bundle, seed=SEED, device="cpu", cache=self.cache)


@dataclass(frozen=True)
class BeamSetFigures:
    """Of one case and beam set: mean errors of model and prior against the re-planned reference, and what the beams cannot do of the prediction."""

    model_gy: float
    prior_gy: float
    gap_gy: float


@dataclass(frozen=True)
class CaseFigures:
    """Of one case: every beam set; the gap for the reference's own fields; the difference after a turn; the dose that an organ is spared."""

    beam_sets: dict[str, BeamSetFigures]
    own_gap_gy: float
    turned_gy: tuple[float, float]  # of the model's dose, of the prior's
    redrawn_gy: tuple[float, float]
    spared_gy: float | None  # None: the case has no organ to try it with


def overall(cases: Sequence[CaseFigures]) -> Iterator[Figure]:
    """The means of all cases as figures, with what they are to reach."""
    own_gap = mean(case.own_gap_gy for case in cases)
    for name in BEAM_SETS:
        sets = [case.beam_sets[name] for case in cases]
        prior = mean(found.prior_gy for found in sets)
        yield Figure(f"(a) {name}: error of the model, at most the prior's", mean(found.model_gy for found in sets), "Gy", round(prior, 2))
        yield Figure(
            f"(b) {name}: gap to what the beams can do, of the nine fields' {own_gap:.2f} Gy", mean(f.gap_gy for f in sets) / own_gap, "x", 1.2
        )
    ours, prior = (mean(values) for values in zip(*(case.turned_gy for case in cases), strict=True))
    yield Figure(f"(c) case and beams turned by {TURN_DEG:g} degrees: difference (of the prior alone {prior:.2f} Gy)", ours, "Gy", 0.5)
    ours, prior = (mean(values) for values in zip(*(case.redrawn_gy for case in cases), strict=True))
    yield Figure(f"    the same, CT and masks redrawn on straight voxels (of the prior alone {prior:.2f} Gy)", ours, "Gy")
    changes = [-case.spared_gy for case in cases if case.spared_gy is not None]
    if changes:
        yield Figure("(d) beam through a parotid switched off: largest change of its mean dose", max(changes), "Gy", 0.0)


def case_figures(model: Model, case: PlanCase, reference: Reference) -> CaseFigures:
    own = model.predicted(case)
    return CaseFigures(
        {name: beam_set_figures(model, case.with_beams(beams), reference) for name, beams in BEAM_SETS.items()},
        gap(own),
        turned_differences(model, case, own, turned_case(case)),
        turned_differences(model, case, own, redrawn(turned_case(case))),
        spared_by_a_beam_off(model, case, own.dose_gy),
    )


def gap(prediction: Prediction) -> float:
    assert prediction.deliverability is not None
    return prediction.deliverability.mean_gy


def beam_set_figures(model: Model, case: PlanCase, reference: Reference) -> BeamSetFigures:
    region = planning_region(case)
    traced = trace_beams(case, region, cache=model.cache.traces)
    prior = physics_prior(region, traced)
    wanted = replanned(traced, region, onto_region(reference.dose_gy, case, region), prior.beamlets).dose_gy
    prediction = model.predicted(case)
    model_gy = onto_region(prediction.dose_gy, case, region)
    errors = [float(np.abs(dose_gy - wanted)[region.body].mean()) for dose_gy in (model_gy, prior.dose_gy)]
    return BeamSetFigures(*errors, gap(prediction))


def turned_differences(model: Model, case: PlanCase, own: Prediction, there: PlanCase) -> tuple[float, float]:
    """Mean differences over the body, of the model and of the prior, between the dose of the case and that of the case turned, put back."""
    moved, grid = model.predicted(there), turned(case.grid)
    pairs = ((moved.dose_gy, own.dose_gy), (moved.prior_gy, own.prior_gy))
    ours, prior = (float(np.abs(resampled(dose_gy, there.grid, grid) - before_gy)[case.body].mean()) for dose_gy, before_gy in pairs)
    return ours, prior


def turned_case(case: PlanCase) -> PlanCase:
    """The case turned with its beams and its grid, so that voxels stay what they are."""
    return replace(case, grid=turned(case.grid), beams=tuple(replace(beam, gantry_deg=beam.gantry_deg + TURN_DEG) for beam in case.fields))


def redrawn(case: PlanCase) -> PlanCase:
    """The case on voxels along the patient's axes that hold all of it."""
    corners = case.grid.world_from_index(np.stack(np.meshgrid(*([0, size - 1] for size in case.grid.shape), indexing="ij"), -1).reshape(-1, 3))
    size = np.ceil((corners.max(axis=0) - corners.min(axis=0)) / case.grid.spacing_mm - 1e-6).astype(int) + 1
    grid = Grid(tuple(size[::-1].tolist()), tuple(corners.min(axis=0).tolist()), case.grid.spacing_mm)
    ct_hu = resampled(case.ct_hu + np.float32(1024), case.grid, grid) - np.float32(1024)
    masks = (resampled(structure.mask.astype(np.float32), case.grid, grid) >= 0.5 for structure in case.structures)
    structures = tuple(replace(structure, mask=mask) for structure, mask in zip(case.structures, masks, strict=True))
    return replace(case, grid=grid, ct_hu=ct_hu, structures=structures)


def turned(grid: Grid) -> Grid:
    """The grid turned about the patient's long axis by `TURN_DEG`, as gantry angles grow: from anterior to the patient's left."""
    cosine, sine = np.cos(np.deg2rad(TURN_DEG)), np.sin(np.deg2rad(TURN_DEG))
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return replace(grid, origin_mm=tuple(turn @ grid.origin_mm), direction=tuple(map(tuple, turn @ np.array(grid.direction))))


def spared_by_a_beam_off(model: Model, case: PlanCase, dose_gy: NDArray[np.float32]) -> float | None:
    """By how much a parotid's mean dose falls when the beam that enters nearest to its direction is left out."""
    parotid = next((organ for organ in case.organs if (organ.role.standard_name or "").startswith("Parotid")), None)
    if parotid is None:
        return None
    middle = case.grid.world_from_index(np.argwhere(parotid.mask).mean(axis=0)) - np.array(case.isocentre)
    direction_deg = float(np.rad2deg(np.arctan2(middle[0], -middle[1])))  # LPS: gantry 0 is anterior (-y), 90 the patient's left (+x)
    through = min(case.fields, key=lambda beam: abs((beam.gantry_deg - direction_deg + 180) % 360 - 180))
    without = model.predicted(case.with_beams(tuple(beam for beam in case.fields if beam is not through)))
    return float(dose_gy[parotid.mask].mean() - without.dose_gy[parotid.mask].mean())


if __name__ == "__main__":
    sys.exit(main())
