"""What holds for every case: it survives DICOM, its region and contours, whatever its grid, its structures and the way the patient lies."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from dicom_files import water_folder
from dose_prediction.case import Beam, CaseWarning, Grid, PlanCase, Role, Structure
from dose_prediction.case_files import read_case
from dose_prediction.contours import polygons_to_mask
from dose_prediction.dicom.patient_position import POSITIONS
from dose_prediction.region import onto_case_grid, onto_region, planning_region
from water_case import SHAPE, water_case

SETTINGS = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# How the axes of a CT lie in the patient, as scanners store it.
SCANNED = {"HFS": (1, 1, 1), "HFP": (-1, -1, 1), "FFS": (-1, 1, -1), "FFP": (1, -1, -1)}

origins = st.tuples(*[st.floats(-400, 400)] * 3)
angles = st.floats(0, 359)
seeds = st.integers(0, 2**32 - 1)


def direction(rotation: Rotation, flips: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, rotation.as_matrix() * flips))


@st.composite
def axial_cases(draw: st.DrawFn, position: str) -> PlanCase:
    """A patient in `position` on axial slices, turned about the long axis, with structures of any form."""
    rng = np.random.default_rng(draw(seeds))
    shape = draw(st.tuples(st.integers(3, 6), st.integers(14, 20), st.integers(14, 20)))
    spacing = draw(st.tuples(*[st.floats(0.7, 5.0)] * 3))
    grid = Grid(shape, draw(origins), spacing, direction(Rotation.from_euler("z", draw(angles), degrees=True), SCANNED[position]))
    body = np.zeros(shape, bool)
    body[:, 2:-2, 2:-2] = True
    forms = [gaussian_filter(rng.normal(size=shape), 1) for _ in range(3)]
    target, organ, other = (body & (form > np.quantile(form, 0.8)) for form in forms)
    assume(target.any() and organ.any() and other.any())
    structures = (
        Structure("BODY", Role.external(), body),
        Structure("PTV_6000", Role.target(60.0), target),
        Structure("SpinalCord", Role.organ("SpinalCord"), organ),
        Structure("Ring", Role.ignored(), other),
    )
    gantry, couch, collimator = (round(draw(angles), 3) for _ in range(3))
    beams = (Beam(gantry, couch, collimator), Beam((gantry + 90) % 360, collimator, couch))
    ct_hu = np.where(body, rng.integers(-900, 1500, shape), -1000).astype(np.float32)
    return PlanCase("any case", grid, ct_hu, structures, beams)


@pytest.mark.parametrize("position", POSITIONS)
@SETTINGS
@given(data=st.data())
def test_a_case_comes_back_from_dicom(position, data):
    """Voxel for voxel: CT, every structure, place, beams and isocentre; so the volume of a mask that became contours is the same, too."""
    case = data.draw(axial_cases(position))
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", CaseWarning)
        back = read_case(water_folder(Path(folder), case, position))
    assert back.grid.matches(case.grid, 1e-3) and np.array_equal(back.ct_hu, case.ct_hu)
    assert {s.name: s.role for s in back.structures} == {s.name: s.role for s in case.structures}
    for one, other in zip(back.structures, case.structures, strict=True):
        assert np.array_equal(one.mask, other.mask), one.name
    assert back.isocentre == pytest.approx(case.isocentre, abs=1e-3)
    for one, other in zip(back.beams, case.beams, strict=True):
        turns = np.subtract((one.gantry_deg, one.couch_deg, one.collimator_deg), (other.gantry_deg, other.couch_deg, other.collimator_deg))
        assert np.abs((turns + 180) % 360 - 180).max() < 1e-6


@SETTINGS
@given(
    turns=st.tuples(angles, angles, angles),
    flips=st.sampled_from([(1, 1, 1), (1, 1, -1), (-1, 1, 1)]),
    spacing=st.tuples(st.floats(0.6, 2.5), st.floats(0.6, 2.5), st.floats(1.0, 5.0)),
    in_voxels=st.tuples(st.floats(9, 11), st.floats(14, 22), st.floats(14, 22)),
    shift=st.tuples(*[st.floats(-1, 1)] * 3),
    apart=st.sampled_from([0.5, 1.0]),
)
def test_an_ellipsoid_of_contours_has_their_volume_on_any_grid(turns, flips, spacing, in_voxels, shift, apart):
    """Within 1 % of what the contours enclose (Archimedes: polygons of 200 corners), and where they lie; also off the slices and finer than they."""
    grid = Grid((26, 50, 50), (-40.0, 25.0, 100.0), spacing, direction(Rotation.from_euler("xyz", turns, degrees=True), flips))
    middle, semi = np.array([12.5, 24.5, 24.5]) + shift, np.array(in_voxels)
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    ring = np.column_stack([np.sin(angle), np.cos(angle)]) * semi[1:]
    drawn, enclosed = [], 0.0
    for height in np.arange(0, 26, apart) + shift[0] / 4:
        part = 1 - ((height - middle[0]) / semi[0]) ** 2
        if part > 0:
            corners = np.column_stack([np.full(200, height), ring * np.sqrt(part) + middle[1:]])
            drawn.append(grid.world_from_index(corners))
            enclosed += 100 * np.sin(2 * np.pi / 200) * semi[1] * semi[2] * part * apart
    mask = polygons_to_mask(drawn, grid, "Ellipsoid")
    assert mask.sum() == pytest.approx(enclosed, rel=0.01)
    assert np.argwhere(mask).mean(axis=0) == pytest.approx(middle, abs=0.3)


def away_from_the_edge(points_mm: np.ndarray, grid: Grid, by_mm: float) -> np.ndarray:
    """Which points lie inside the grid by so much, and by one of its voxels: nearer to its edge, values go on as they are."""
    index = grid.index_from_world(points_mm)
    margin = np.maximum(by_mm / np.array(grid.spacing_zyx_mm), 1.0)
    return np.all((index >= margin) & (index <= np.array(grid.shape) - 1 - margin), axis=-1)


@SETTINGS
@given(
    turns=st.tuples(angles, angles, angles),
    flips=st.sampled_from([(1, 1, 1), (1, 1, -1), (-1, 1, 1), (-1, -1, 1), (-1, 1, -1)]),
    is_turned=st.booleans(),
    spacing=st.tuples(*[st.floats(1.0, 6.0)] * 3),
    origin=origins,
)
@example(turns=(0.0, 8.0, 220.0), flips=(1, 1, 1), is_turned=True, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0))  # 40 voxels averaged by sixes
def test_what_goes_to_the_region_and_back_stays_where_it_was(turns, flips, is_turned, spacing, origin):
    """A linear function of the place survives linear interpolation, so wherever both grids have neighbours it must come back as it was."""
    turned = Rotation.from_euler("xyz", turns, degrees=True) if is_turned else Rotation.identity()
    case = water_case(grid=Grid(SHAPE, origin, spacing, direction(turned, flips)))
    region = planning_region(case)
    points = case.grid.world_from_index(np.stack(np.indices(SHAPE), -1))
    place = ((points - case.isocentre) @ [0.5, -0.25, 1.0] + 1000.0).astype(np.float32)
    inside = away_from_the_edge(points, case.grid, 8.0) & away_from_the_edge(points, region.grid, 8.0)
    assert inside.any()
    back = onto_case_grid(onto_region(place, case, region), region, case)
    assert np.abs(back - place)[inside].max() < 0.05
    target = onto_case_grid(region.targets[0].fraction, region, case)
    assert target.sum() == pytest.approx(case.targets[0].mask.sum(), rel=0.15)
