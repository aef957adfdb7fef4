"""How exact DVHs are: spheres, cylinders and cones of 0.1 to 30 cc in linear dose gradients, whose DVHs are known in closed form.

    python Testing/benchmarks/bench_dvh.py [--dose-spacings 1 2 3 5]

The method of Nelms et al., Med Phys 42, 4435-4448 (2015): gradients of 1 Gy/mm along and across the slices about 40 Gy, dose grids of 1 to 5 mm,
slices every 0.2 to 3 mm.  The columns are the forms that a structure is given in, and other programs:

* surface, contours: as here (`dose_in_surface`, `dose_in_contours`);
* partial volumes: as here (`dose_in_mask`), how much of each voxel is inside, with pixels of 1 mm on the slices;
* mask: as here (`dose_in_slices`), the same voxels, those whose centre is inside;
* plastimatch: `plastimatch dvh` of the same mask, in bins of 0.05 Gy, where the program is installed;
* SlicerRT: not run.  By its published defaults (vtkSlicerDoseVolumeHistogramModuleLogic: closed surface, dose voxels halved, linear interpolation,
  whole voxels, bins from 0.1 Gy in steps of 0.2 Gy), on voxels whose centre is inside the solid itself.

A cell holds the largest errors over both gradients and all dose grids: volume in percent; D95%, D5% and Dmean in Gy; "!" where one is beyond its
limit.
The limits: volume within 1 % (3 % under 0.5 cc), doses within 0.1 Gy or 0.5 %.  A second table says of every mask beyond them what its voxels hold at
all: the smallest and the largest volume that solids of the same shape have which fill just the same voxels (4000 tried).
Where these are wider apart than the limit no method can tell; where they are not, one could that knew the shape.

The program exits with 1 if a surface misses a limit, or contours or partial volumes on three slices or more do.  Through two contours both a sphere
and a cone can be laid, of different volumes.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from analytic_structures import CENTRE_GY, GRADIENT_GY_PER_MM, GRADIENTS, SHAPES, Solid
from dose_prediction.case import Grid
from dose_prediction.dosimetry import StructureDose
from dose_prediction.dosimetry.sub_voxel import dose_in_contours, dose_in_mask, dose_in_slices, dose_in_surface
from dose_prediction.report import text_table
from dose_prediction.volumes import write_volume

VOLUMES_CC = (0.1, 0.5, 2.0, 10.0, 30.0)
DOSE_SPACINGS_MM = (1.0, 2.0, 3.0, 5.0)
SLICES_MM = (0.2, 1.0, 2.0, 3.0)

# Volume in cc, D95%, D5% and Dmean in Gy.
Figures = tuple[float, float, float, float]
Method = Callable[[Solid, str, float], Figures]


def by_surface(solid: Solid, gradient: str, spacing_mm: float) -> Figures:
    return figures(dose_in_surface(*solid.dose(gradient, spacing_mm), *solid.surface()))


def by_contours(solid: Solid, gradient: str, spacing_mm: float) -> Figures:
    return figures(dose_in_contours(*solid.dose(gradient, spacing_mm), solid.contours()))


def by_partial_volumes(solid: Solid, gradient: str, spacing_mm: float) -> Figures:
    return figures(dose_in_mask(*solid.dose(gradient, spacing_mm), *_partial_volumes(solid)))


@lru_cache(maxsize=1)
def _partial_volumes(solid: Solid) -> tuple[np.ndarray, Grid]:
    return solid.partial_volumes()


def by_mask(solid: Solid, gradient: str, spacing_mm: float) -> Figures:
    return figures(dose_in_slices(*solid.dose(gradient, spacing_mm), *solid.mask()))


def figures(found: StructureDose) -> Figures:
    return found.total_cc, found.dose_at_volume(95), found.dose_at_volume(5), found.mean_gy


def by_plastimatch(solid: Solid, gradient: str, spacing_mm: float) -> Figures:
    """Doses read off its histogram by linear interpolation; it takes the dose at the voxels of the mask."""
    mask, mask_grid = solid.mask()
    width = 0.05
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dose, grid = solid.dose(gradient, spacing_mm)
        write_volume(folder / "dose.nrrd", dose.astype(np.float32), grid)
        write_volume(folder / "structures.nrrd", mask.astype(np.uint8), mask_grid)
        (folder / "names.txt").write_text("0|255 0 0|solid\n")
        files = ["--input-dose", "dose.nrrd", "--input-ss-img", "structures.nrrd", "--input-ss-list", "names.txt", "--output-csv", "dvh.csv"]
        bins = ["--differential", "--normalization", "vox", "--bin-width", str(width), "--num-bins", "2000"]
        subprocess.run(["plastimatch", "dvh", *files, *bins], cwd=folder, check=True, capture_output=True)
        with (folder / "dvh.csv").open() as file:
            rows = np.array(list(csv.reader(file))[1:], dtype=float)
    return from_histogram(rows[:, 0], rows[:, 1], mask_grid.voxel_volume_mm3 / 1000, float(np.average(rows[:, 0] + width / 2, weights=rows[:, 1])))


def by_slicerrt_defaults(solid: Solid, gradient: str, spacing_mm: float) -> Figures:
    _, grid = solid.dose(gradient, spacing_mm)
    # Halved voxels lie a quarter of a voxel to either side of each centre.
    axes = [first + spacing_mm * (np.arange(2 * n) / 2 - 0.25) for first, n in zip(grid.origin_mm[::-1], grid.shape, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    dx, dy, dz = solid.offset_mm
    inside = np.nan_to_num((x - dx) ** 2 + (y - dy) ** 2 <= solid.radius_at(z - dz) ** 2).astype(bool)
    if not inside.any():
        raise ValueError("no voxel")
    doses = CENTRE_GY + GRADIENT_GY_PER_MM * np.broadcast_to(z if gradient == "along" else x, inside.shape)[inside]
    edges = 0.1 + 0.2 * np.arange(int(doses.max() / 0.2) + 3)
    counts = np.histogram(doses, edges)[0]
    return from_histogram(edges[:-1], counts, (spacing_mm / 2) ** 3 / 1000, float(doses.mean()))


def from_histogram(edges: np.ndarray, counts: np.ndarray, voxel_cc: float, mean_gy: float) -> Figures:
    at_least = np.cumsum(counts[::-1])[::-1]
    d95, d5 = (float(np.interp(-part * at_least[0], -at_least, edges)) for part in (0.95, 0.05))
    return float(at_least[0]) * voxel_cc, d95, d5, mean_gy


METHODS: dict[str, Method] = {
    "surface": by_surface,
    "contours": by_contours,
    "partial volumes": by_partial_volumes,
    "mask": by_mask,
    "plastimatch": by_plastimatch,
    "SlicerRT's defaults": by_slicerrt_defaults,
}
# What is given as a surface does not depend on the slices.
OF_SURFACES = ("surface", "SlicerRT's defaults")


def worst_errors(solid: Solid, method: Method, spacings: Sequence[float]) -> tuple[list[float], bool]:
    """Largest error of the volume in percent and of each dose in Gy, and whether all are within their limits."""
    worst, is_within = [0.0] * 4, True
    for gradient in GRADIENTS:
        truths = list(solid.true_doses(gradient).values())
        for spacing_mm in spacings:
            cc, *doses = method(solid, gradient, spacing_mm)
            errors = [100 * (cc / solid.cc - 1), *(found - truth for found, truth in zip(doses, truths, strict=True))]
            limits = [volume_limit(solid), *(max(0.1, 0.005 * truth) for truth in truths)]
            is_within &= all(abs(error) <= limit for error, limit in zip(errors, limits, strict=True))
            worst = [max(pair, key=abs) for pair in zip(worst, errors, strict=True)]
    return worst, is_within


def volume_limit(solid: Solid) -> float:
    return 1.0 if solid.cc >= 0.5 else 3.0


def main() -> int:
    """Measure, print the tables, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dose-spacings", type=float, nargs="+", default=DOSE_SPACINGS_MM, metavar="MM", help="dose grids (default 1 2 3 5)")
    spacings = parser.parse_args().dose_spacings
    methods = {name: method for name, method in METHODS.items() if name != "plastimatch" or shutil.which("plastimatch")}
    within, measured = dict.fromkeys(methods, 0), dict.fromkeys(methods, 0)
    rows, beyond, is_good = [], [], True
    for shape in SHAPES:
        for cc in VOLUMES_CC:
            for slice_mm in SLICES_MM:
                solid = Solid(shape, cc, slice_mm)
                row = [shape, f"{cc:g}", f"{slice_mm:g}"]
                for name, method in methods.items():
                    if name in OF_SURFACES and slice_mm != 1.0:
                        row.append("")
                        continue
                    measured[name] += 1
                    try:
                        worst, is_within = worst_errors(solid, method, spacings)
                    except ValueError as error:
                        row.append(str(error).split(",")[0] + " !")
                        continue
                    within[name] += is_within
                    row.append(f"{worst[0]:+.1f} {' '.join(f'{error:+.2f}' for error in worst[1:])}{'' if is_within else ' !'}")
                    if not is_within and name == "mask":
                        volumes = (f"{100 * (volume / cc - 1):+.1f}" for volume in solid.volumes_with_the_same_mask())
                        beyond.append([*row[:3], *volumes, f"{volume_limit(solid):g}"])
                    needs_to_be = name == "surface" or (name in ("contours", "partial volumes") and len(solid.contours()) > 2)
                    is_good &= is_within or not needs_to_be
                rows.append(row)
    print(text_table(["shape", "cc", "slices (mm)", *methods], rows))
    print("\nWithin the limits:", ", ".join(f"{within[name]} of {measured[name]} ({name})" for name in methods))
    print("\nMasks beyond them, and the volumes (from the solid's) that the same voxels may have:\n")
    print(text_table(["shape", "cc", "slices (mm)", "least (%)", "most (%)", "limit (%)"], beyond))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
