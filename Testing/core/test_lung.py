"""The dose in lung against a collapsed-cone dose, and no change where there is no lung.

`collapsed_cone_lung_slab.csv` holds central-axis doses of square 6 MV fields (30, 50 and 100 mm in the isocentre plane, isocentre 100 mm deep, source
at 1000 mm) on water and on water with a slab of lung, density 0.26, from 50 to 150 mm depth, relative to the dose at 100 mm in water;
`collapsed_cone_thin_lung_slab.csv` those with a slab that ends at 90 mm.  They come from the collapsed-cone engine of OpenTPS (WiscPlan's, with
Mackie's kernels; PyPI package opentps-core 2.0.0), see `Testing/references/collapsed_cone.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dose_prediction.case import Beam, Grid
from dose_prediction.openkbp import read_npz
from dose_prediction.physics import pencil_beam
from dose_prediction.physics.beam_frame import beam_frame
from dose_prediction.physics.beam_trace import trace_beam
from dose_prediction.physics.density import Medium
from dose_prediction.physics.lung import lung_lack, wide_kernel_share
from dose_prediction.physics.machine import Machine, photon_machine
from dose_prediction.physics.pencil_beam import set_up_beams
from dose_prediction.physics.prior import trace_beams
from dose_prediction.region import planning_region

GRID = Grid((88, 150, 88), origin_mm=(-174.0, -99.0, -174.0), spacing_mm=(4.0, 2.0, 4.0))  # 300 mm of water from y = -100 mm, isocentre 100 mm deep
DEPTH_MM = np.arange(150) * 2.0 + 1.0
REFERENCES = {
    slab_mm: np.genfromtxt(Path(__file__).with_name(name), delimiter=",", names=True)
    for slab_mm, name in ((100, "collapsed_cone_lung_slab.csv"), (40, "collapsed_cone_thin_lung_slab.csv"))
}
REFERENCE_DEPTH_MM = REFERENCES[100]["depth_mm"]
SIDES_MM = (30, 50, 100)
WIDE_SHARES = {100: 1.0, 40: 0.52}  # how much of the kernel's tail the slabs call for


def slab(density: float, slab_mm: int = 100) -> Medium:
    volume = np.ones(GRID.shape, np.float32)
    volume[:, np.abs(DEPTH_MM - 50 - slab_mm / 2) < slab_mm / 2] = density
    return Medium(volume, GRID)


def central_axis(medium: Medium, side_mm: int, machine: Machine) -> np.ndarray:
    """Dose at the reference's depths, on the axis of a square field from anterior of an even number of beamlets."""
    y = REFERENCE_DEPTH_MM - 100.0
    centre = 2.5 * (1000.0 + y) / 1000.0  # beamlets have their centres at multiples of 5 mm
    points = np.stack([centre, y, centre], axis=1)
    beamlets = np.arange(-side_mm // 2 + 5, side_mm // 2 + 1, 5.0)
    target = np.stack(np.meshgrid(beamlets, 0.0, beamlets), axis=-1).reshape(-1, 3)
    beams = set_up_beams((Beam(0),), (0.0, 0.0, 0.0), medium, points, target, [machine], margin_mm=0.0)
    assert beams.open_beamlets.sum() == (side_mm // 5) ** 2
    return beams.dose(beams.open_beamlets.float()).numpy()


def error_percent(side_mm: int, slab_mm: int = 100, machine: Machine | None = None) -> np.ndarray:
    """How far the effect of a slab on the dose is from the reference's, at its depths but for the slab's end, where voxels of 2 mm blur it.

    The tail of the kernel that the lung calls for gives more dose at the same fluence in water too; so the water gets as much of it, or both get
    `machine`.
    """
    if machine:
        in_lung, in_water = (central_axis(slab(density, slab_mm), side_mm, machine) for density in (0.26, 1.0))
    else:
        in_lung = central_axis(slab(0.26, slab_mm), side_mm, photon_machine())
        narrow, wide = (central_axis(slab(1.0), side_mm, machine) for machine in (photon_machine(), photon_machine().wide))
        in_water = narrow + WIDE_SHARES[slab_mm] * (wide - narrow)
    reference = REFERENCES[slab_mm][f"lung_{side_mm}"] / REFERENCES[slab_mm][f"water_{side_mm}"]
    return (100 * (in_lung / in_water / reference - 1))[np.abs(REFERENCE_DEPTH_MM - 50 - slab_mm) > 3]


@pytest.fixture
def wide_shares(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How much of the kernel's tail each beam got that met lung and was set up since."""
    shares: list[float] = []

    def noted(lacking_mm: float) -> float:
        shares.append(wide_kernel_share(lacking_mm))
        return shares[-1]

    monkeypatch.setattr(pencil_beam, "wide_kernel_share", noted)
    return shares


@pytest.mark.parametrize("slab_mm", REFERENCES)
@pytest.mark.parametrize("side_mm", SIDES_MM)
def test_a_slab_of_lung_changes_the_dose_as_a_collapsed_cone_says(side_mm: int, slab_mm: int, wide_shares: list[float]) -> None:
    assert np.abs(error_percent(side_mm, slab_mm)).max() < 5.0
    assert wide_shares == [pytest.approx(WIDE_SHARES[slab_mm], abs=0.01)]


def test_with_the_narrow_kernel_of_solid_tissue_a_large_field_would_be_ten_percent_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pencil_beam, "wide_kernel_share", lambda lacking_mm: 0.0)
    assert np.abs(error_percent(100, machine=photon_machine())).max() > 10.0


def test_without_the_spread_of_electrons_small_fields_would_be_ten_percent_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pencil_beam, "lung_lack", lambda medium: None)
    assert np.abs(error_percent(50, machine=photon_machine().wide)).max() > 10.0


def test_the_kernel_widens_little_by_little_with_the_lung_on_the_way(wide_shares: list[float]) -> None:
    doses = [central_axis(slab(density), 100, photon_machine()) for density in np.arange(0.77, 0.47, -0.005)]
    assert wide_shares[0] == 0.0 and wide_shares[-1] > 0.7
    assert np.all(np.diff(wide_shares) >= 0)
    assert np.abs(np.diff(np.log(doses), axis=0)).max() < 0.025


def test_the_apices_of_the_lungs_leave_head_and_neck_the_kernel_of_solid_tissue(openkbp_folder: Path, wide_shares: list[float]) -> None:
    case = read_npz(openkbp_folder / "validation" / "pt_230.npz")  # whose beams meet more lung than those of all the others there
    trace_beams(case, planning_region(case))
    assert wide_shares == [0.0] * 9


BLOCK = Grid((40, 50, 60), origin_mm=(-118.0, -98.0, -78.0), spacing_mm=(4.0, 4.0, 4.0))


def block_with(density: float, radius_mm: float, centre_mm: tuple[float, float, float], is_tube: bool = False) -> Medium:
    """Water with a sphere of another density, or a tube along z."""
    offset = BLOCK.world_from_index(np.stack(np.indices(BLOCK.shape), -1)) - centre_mm
    distance = np.linalg.norm(offset[..., :2] if is_tube else offset, axis=-1)
    return Medium(np.where(distance <= radius_mm, density, 1.0).astype(np.float32), BLOCK)


def test_airways_and_small_volumes_leave_the_dose_as_it_is() -> None:
    assert lung_lack(block_with(0.001, 12.0, (0, 0, 0), is_tube=True)) is None  # a trachea
    assert lung_lack(block_with(0.001, 40.0, (0, 0, 0))) is None  # a large cavity holds air, not lung
    assert lung_lack(block_with(0.3, 20.0, (0, 0, 0))) is None
    assert lung_lack(block_with(0.3, 45.0, (0, 0, 0))) is not None


def test_the_correction_sets_in_little_by_little() -> None:
    found = [lung_lack(block_with(0.3, radius, (0, 0, 0))) for radius in range(24, 46, 2)]
    most = [0.0 if lack is None else float(lack.density.max()) for lack in found]
    assert most[0] == 0.0
    assert most[-1] == pytest.approx(0.7)
    assert np.all(np.diff(most) >= 0)
    assert np.diff(most).max() < 0.35


def test_only_the_lung_that_a_beam_meets_spreads_its_electrons() -> None:
    medium = block_with(0.3, 45.0, (60.0, 0.0, 0.0))  # on the patient's left
    points = np.array([[60.0, 0.0, 0.0], [-60.0, 0.0, 0.0]])
    for angle in (0.0, 30.0):
        for target, is_met in ((points[:1], True), (points[1:], False)):
            x, y, z = target[0]
            frame = beam_frame(Beam(angle), (x, y, z), 1000.0)
            trace = trace_beam(medium, lung_lack(medium), frame, target)
            spread = 1.0 if trace.spread_density is None else trace.spread_density[0]
            assert (spread < 0.4) == is_met
            assert (spread == 1.0) != is_met


@pytest.mark.parametrize("couch_deg", [0.0, 25.0])
def test_the_rays_beside_the_lung_need_not_be_looked_at(couch_deg: float, monkeypatch: pytest.MonkeyPatch) -> None:
    medium = block_with(0.3, 45.0, (50.0, -10.0, 15.0))
    points = np.random.default_rng(3).uniform(-90.0, 90.0, (3000, 3))
    frame = beam_frame(Beam(70.0, couch_deg), (0.0, 0.0, 0.0), 1000.0)
    lung = lung_lack(medium)
    trace = trace_beam(medium, lung, frame, points)
    monkeypatch.setattr(Medium, "attenuating_corners_mm", BLOCK.world_from_index(np.argwhere(np.ones((2, 2, 2))) * (np.array(BLOCK.shape) - 1)))
    everywhere = trace_beam(medium, lung, frame, points)
    assert trace.spread_density is not None and trace.lacking is not None
    assert trace.spread_density == pytest.approx(everywhere.spread_density, abs=1e-4)
    assert trace.lacking == pytest.approx(everywhere.lacking, abs=1e-2)
    assert 0.1 < np.mean(trace.lacking > 0) < 0.9


@pytest.mark.parametrize("couch_deg", [0.0, 25.0])
def test_only_a_beam_that_comes_through_the_lung_gets_more_of_the_kernel(couch_deg: float, wide_shares: list[float]) -> None:
    medium = block_with(0.3, 45.0, (55.0, 0.0, 0.0))  # on the patient's left
    target = np.array([-30.0, 5.0, 8.0]) + np.stack(np.meshgrid(*3 * [np.linspace(-8.0, 8.0, 3)]), axis=-1).reshape(-1, 3)
    for gantry_deg, comes_through in ((80.0, True), (290.0, False)):
        wide_shares.clear()
        set_up_beams((Beam(gantry_deg, couch_deg),), (-30.0, 5.0, 8.0), medium, target, target, [photon_machine()])
        assert sum(wide_shares) == (1.0 if comes_through else 0.0)
