"""Speed, memory and accuracy of the dose engine, as a table with the figures to reach.

    make bench          or          python Testing/benchmarks/bench_physics.py

Seconds are processor seconds of one thread; with more threads less passes on the clock.  The case is a cylinder of water, or of water with a lung, of
150,000 body voxels; the targets are a sphere of 4 cm radius.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dose_prediction.case import Beam, Grid, PlanCase, Role, Structure, equispaced_beams
from dose_prediction.physics.density import Medium
from dose_prediction.physics.machine import photon_machine
from dose_prediction.physics.pencil_beam import set_up_beams
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.physics.trace_cache import TraceCache
from dose_prediction.region import planning_region
from dose_prediction.report import text_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core"))

import test_lung

SHAPE, SPACING_MM = (64, 64, 64), (3.9, 3.9, 3.0)
ARC_FIELDS = 36  # of two arcs, merged


def main() -> int:
    torch.set_num_threads(1)
    rows = [*speed(), *lung(), *depth_doses()]
    print(text_table(["Figure", "Measured", "At most"], rows))
    return 0


def cylinder(has_lung: bool = False) -> PlanCase:
    """Water with a target in its middle and, where wanted, a lung on the patient's left."""
    grid = Grid(SHAPE, origin_mm=(-122.85, -122.85, -94.5), spacing_mm=SPACING_MM)
    x, y, z = np.moveaxis(grid.world_from_index(np.stack(np.indices(SHAPE), -1)), -1, 0)
    body = np.hypot(x, y) < 105
    ct_hu = np.where(body, 0.0, -1000.0).astype(np.float32)
    if has_lung:
        ct_hu[np.hypot(x - 60, y) < 40] = -740.0
    target = x**2 + y**2 + z**2 < 40**2
    return PlanCase(
        "Cylinder", grid, ct_hu, (Structure("BODY", Role.external(), body), Structure("PTV", Role.target(60.0), target)), equispaced_beams(9)
    )


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of the quicker of two runs."""
    taken = []
    for _ in range(2):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def speed() -> list[list[str]]:
    case = cylinder()
    region = planning_region(case)
    rows = [["Body voxels of the case", f"{int(region.body.sum()):,}", ""]]

    def traced(case: PlanCase, cache: TraceCache | None = None) -> float:
        def work() -> None:
            beams = trace_beams(case, region, cache=cache).beams
            beams.dose(beams.open_beamlets.float())

        return seconds(work)

    by_count = {count: traced(case.with_beams(equispaced_beams(count))) for count in (1, 9, ARC_FIELDS)}
    rows.append(["9 beams: ray tracing and full dose", f"{by_count[9]:.2f} s", "1.5 s"])
    rows.append(["9 beams: quick plan, all in all", f"{seconds(lambda: physics_prior(region, trace_beams(case, region))):.2f} s", "2.5 s"])
    rows.append(["One more beam, from 1 to 9", f"{(by_count[9] - by_count[1]) / 8:.3f} s", ""])
    rows.append([f"One more beam, from 9 to {ARC_FIELDS}", f"{(by_count[ARC_FIELDS] - by_count[9]) / (ARC_FIELDS - 9):.3f} s", ""])
    rows.append(["9 beams, traced before", f"{traced(case, TraceCache()):.2f} s", ""])
    with_lung = cylinder(has_lung=True)
    rows.append(["9 beams and a lung: ray tracing and full dose", f"{traced(with_lung):.2f} s", "1.5 s"])
    arcs = case.with_beams(equispaced_beams(ARC_FIELDS))
    rows.append(
        [
            f"{ARC_FIELDS} fields of two arcs: quick plan, all in all",
            f"{seconds(lambda: physics_prior(region, trace_beams(arcs, region))):.2f} s",
            "10 s",
        ]
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    rows.append(["Peak memory until then", f"{peak / 1e9:.2f} GB", "1.5 GB"])
    return rows


def lung() -> list[list[str]]:
    """Largest difference from a collapsed cone behind and in slabs of lung."""
    cases = [(slab, side) for slab in test_lung.REFERENCES for side in test_lung.SIDES_MM]
    return [[f"{slab} mm of lung, field {side} mm", f"{np.abs(test_lung.error_percent(side, slab)).max():.1f} %", "5 %"] for slab, side in cases]


def depth_doses() -> list[list[str]]:
    grid = Grid((60, 150, 60), origin_mm=(-118.0, 1.0, -118.0), spacing_mm=(4.0, 2.0, 4.0))
    medium = Medium(np.ones(grid.shape, np.float32), grid)
    depths = np.arange(2.0, 250.0)
    points = np.stack([np.zeros_like(depths), depths, np.zeros_like(depths)], axis=1)
    plate = np.stack(np.meshgrid(np.linspace(-47, 47, 21), [0.0], np.linspace(-47, 47, 21), indexing="ij"), -1).reshape(-1, 3)
    rows = []
    for energy, published in ((6.0, "15 mm, 67.5 %"), (10.0, "23 mm, 73.0 %, not checked against the print")):
        machine = photon_machine(energy).with_kernel_radius(100.0)
        beams = set_up_beams((Beam(0, energy_mv=energy),), (0.0, 0.0, 0.0), medium, points, plate, [machine])
        dose = beams.dose(beams.open_beamlets.float()).numpy()
        figure = f"{depths[dose.argmax()]:.0f} mm, {100 * np.interp(100.0, depths, dose) / dose.max():.1f} %"
        rows.append([f"{energy:g} MV, 10 x 10 cm, SSD 100 cm: d_max and dose at 10 cm depth (BJR 25: {published})", figure, ""])
    return rows


if __name__ == "__main__":
    sys.exit(main())
