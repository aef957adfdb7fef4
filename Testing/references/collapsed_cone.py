"""Makes the doses in slabs of lung that `Testing/core/test_lung.py` compares with, by the collapsed-cone engine of OpenTPS; needs a C++ compiler.

    pip download --no-deps opentps-core==2.0.0
    python -m zipfile -e opentps_core-2.0.0-py3-none-any.whl wheel
    python Testing/references/collapsed_cone.py wheel Testing/core/collapsed_cone_lung_slab.csv
    python Testing/references/collapsed_cone.py wheel Testing/core/collapsed_cone_thin_lung_slab.csv --slab-mm 40

The engine's C++ source (WiscPlan's convolution/superposition with Mackie's kernels, GPL) is in the wheel.  It is compiled with finer cones and
steps than it is shipped with: 24 x 16 directions instead of 6 x 12, steps of half a voxel instead of two voxels; its interpolation below the first
radius of the kernel, which falls where it should rise, is put right; only the central plane is computed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

PHOTONS = "opentps/core/processing/doseCalculation/photons"
KERNELS = ("header", "radii", "angles", "energies", "primary", "first_scatter", "second_scatter", "multiple_scatter", "brem_annih", "total")
SPECTRUM = ("fluence", "mu", "mu_en")
SHAPE, SPACING_CM = (150, 63, 63), (0.2, 0.4, 0.4)  # depth first; isocentre 10 cm deep
SIDES_CM = (3, 5, 10)
LUNG_DENSITY = 0.26


def compiled(wheel: Path, work: Path) -> Path:
    source = work / "source"
    source.mkdir()
    for file in [*(wheel / PHOTONS / "CCC_DoseEngine").glob("*.cpp"), wheel / PHOTONS / "CCC_DoseEngine" / "defs.h"]:
        shutil.copy(file, source)
    definitions, dose = source / "defs.h", source / "calc_dose.cpp"
    text = re.sub(r"^#define NPHI 12", "#define NPHI 16", definitions.read_text(), count=1, flags=re.MULTILINE)
    definitions.write_text(re.sub(r"^#define NTHETA 6", "#define NTHETA 24", text, count=1, flags=re.MULTILINE))
    text = dose.read_text().replace("delr = (float)2.0*d", "delr = (float)0.5*d").replace("for (k=0;k<Q; k++)", "for (k=Q/2;k<=Q/2; k++)")
    dose.write_text(text.replace("cumval = (1-t)*KERNEL_TOTAL_VALUE(&smallkern,0,p);", "cumval = t*KERNEL_TOTAL_VALUE(&smallkern,0,p);"))
    subprocess.run(["g++", "-O2", "-w", "-o", work / "engine", *sorted(source.glob("*.cpp")), "-lm"], check=True)
    return work / "engine"


def central_axis(engine: Path, wheel: Path, density: np.ndarray, work: Path) -> dict[int, np.ndarray]:
    """Dose on the axis of every field, by depth."""
    kernels = wheel / PHOTONS / "Kernels_6MV"
    files = {name: kernels / ("kernel_header.txt" if name == "header" else f"{name}.bin") for name in (*KERNELS, *SPECTRUM)}
    (work / "kernels.txt").write_text("".join(f"kernel_{name}\n{file}\n" for name, file in files.items()))
    start = [-10 + SPACING_CM[0] / 2, *(-spacing * (count // 2) for spacing, count in zip(SPACING_CM[1:], SHAPE[1:], strict=True))]
    lines = ("Xcount Ycount Zcount", SHAPE, "Xstart Ystart Zstart", start, "dx dy dz", SPACING_CM)
    (work / "header.txt").write_text("".join((line if isinstance(line, str) else " ".join(map(str, line))) + "\n" for line in lines))
    density.astype("<f4").ravel(order="F").tofile(work / "density.bin")
    (work / "geometry.txt").write_text(f"geometry_header\n{work / 'header.txt'}\ngeometry_density\n{work / 'density.bin'}\n")
    fields = "".join(
        f"num\n{number}\nSAD xp yp del_xp del_yp\n100 0 0 {side} {side}\ny_vec\n-100 0 0\nip\n0 1 0\njp\n0 0 1\nkp\n1 0 0\n\n \n"
        for number, side in enumerate(SIDES_CM)
    )
    (work / "fields.txt").write_text(f"beamnum:\n{len(SIDES_CM)}\n \n{fields}")
    # What it writes tells whether it worked: its exit status is 1 either way.
    subprocess.run([engine, *(work / name for name in ("kernels.txt", "geometry.txt", "fields.txt", "dose.bin"))], stdout=subprocess.DEVNULL)
    return read_doses(work / "dose.bin")


def read_doses(path: Path) -> dict[int, np.ndarray]:
    """The engine's sparse doses: a count of fields; then for each five whole numbers, the last one the count of voxels, their indices and values."""
    content, doses, position = path.read_bytes(), {}, 4
    for side in SIDES_CM:
        count = int(np.frombuffer(content, "<i4", 5, position)[4])
        indices = np.frombuffer(content, "<i4", count, position + 20)
        dose = np.zeros(np.prod(SHAPE), np.float32)
        dose[indices] = np.frombuffer(content, "<f4", count, position + 20 + 4 * count)
        doses[side] = dose.reshape(SHAPE, order="F")[:, SHAPE[1] // 2, SHAPE[2] // 2]
        position += 20 + 8 * count
    return doses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--slab-mm", type=float, default=100.0, help="thickness of the slab, which begins 50 mm deep (default 100)")
    options = parser.parse_args()
    depth_cm = SPACING_CM[0] * (np.arange(SHAPE[0]) + 0.5)
    water = np.ones(SHAPE)
    lung = water.copy()
    lung[(depth_cm > 5) & (depth_cm < 5 + options.slab_mm / 10)] = LUNG_DENSITY
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        engine = compiled(options.wheel.resolve(), work)
        in_water, in_lung = (central_axis(engine, options.wheel.resolve(), density, work) for density in (water, lung))
    columns, names = [10 * depth_cm], ["depth_mm"]
    for side in SIDES_CM:
        at_isocentre = in_water[side][49:51].mean()
        columns += [in_water[side] / at_isocentre, in_lung[side] / at_isocentre]
        names += [f"water_{10 * side}", f"lung_{10 * side}"]
    rows = np.stack(columns, axis=1)[7:130:2]
    np.savetxt(options.output, rows, fmt=["%.0f", *["%.4f"] * (len(columns) - 1)], delimiter=",", header=",".join(names), comments="")


if __name__ == "__main__":
    main()
