"""The gamma index where it is known in closed form, and beside pymedphys."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from dose_prediction.dosimetry.gamma import GammaCriteria, gamma_index, passing_percent

SPACING = (3.0, 2.5, 2.0)


def places(shape: tuple[int, int, int] = (12, 14, 16)) -> list[np.ndarray]:
    """Coordinates in mm of the voxels, z, y, x."""
    return [index * spacing for index, spacing in zip(np.indices(shape, dtype=float), SPACING, strict=True)]


def hills(shift_mm: tuple[float, float, float] = (0, 0, 0), scale: float = 1.0, shape: tuple[int, int, int] = (16, 20, 20)) -> np.ndarray:
    z, y, x = (place - shift for place, shift in zip(places(shape), shift_mm, strict=True))
    first = 60 * np.exp(-(((z - 20) / 14) ** 2 + ((y - 20) / 11) ** 2 + ((x - 15) / 9) ** 2))
    second = 40 * np.exp(-(((z - 32) / 9) ** 2 + ((y - 34) / 12) ** 2 + ((x - 26) / 8) ** 2))
    return scale * (first + second)


def test_a_dose_has_gamma_0_against_itself():
    assert np.nanmax(gamma_index(hills(), hills(), SPACING)) == 0


def test_without_a_gradient_gamma_is_the_dose_difference_in_units_of_the_criterion():
    gamma = gamma_index(np.full((6, 6, 6), 50.0), np.full((6, 6, 6), 52.0), SPACING, GammaCriteria(3, 3))
    assert gamma == pytest.approx(2 / 1.5, rel=1e-5)


@pytest.mark.parametrize("slope", [(0.5, 0.0, 0.0), (0.0, 0.2, 0.6), (0.8, -0.6, 0.4)])
def test_in_a_linear_gradient_gamma_is_the_distance_to_a_plane_in_dose_and_space(slope):
    z, y, x = places()
    reference = 60 + slope[0] * (z - 15) + slope[1] * (y - 15) + slope[2] * (x - 15)
    gamma = gamma_index(reference, reference + 1.0, SPACING, GammaCriteria(3, 3, normalisation_gy=60.0))
    gradient = np.linalg.norm(slope) * 3.0 / 1.8  # in dose criteria a distance criterion
    inside = gamma[3:-3, 3:-3, 3:-3]
    assert inside == pytest.approx(1 / 1.8 / np.sqrt(1 + gradient**2), rel=1e-3)


def test_a_shifted_step_is_as_far_as_the_shift():
    reference = np.zeros((5, 5, 40))
    evaluated = reference.copy()
    reference[..., 20:], evaluated[..., 21:] = 60, 60
    gamma = gamma_index(reference, evaluated, (3.0, 3.0, 1.0), GammaCriteria(0.1, 2.0))
    # At the foot of the moved step 60 Gy is 1 mm away: half of the distance criterion.
    assert gamma[2, 2, 20] == pytest.approx(0.5, abs=1e-3) and gamma[2, 2, 21:].max() == 0


def test_local_gamma_takes_its_percentage_of_the_dose_at_the_point():
    reference = np.full((4, 4, 12), 60.0)
    reference[..., :6] = 20
    gamma = gamma_index(reference, reference + 0.6, SPACING, GammaCriteria(3, 3, local=True))
    assert gamma[2, 2, 1] == pytest.approx(1.0, rel=1e-4) and gamma[2, 2, 10] == pytest.approx(1 / 3, rel=1e-4)


def test_points_below_the_threshold_or_outside_the_mask_are_not_judged():
    mask = np.zeros(hills().shape, bool)
    mask[4:12] = True
    gamma = gamma_index(hills(), hills(scale=1.02), SPACING, GammaCriteria(threshold_percent=20), mask=mask)
    assert np.array_equal(np.isfinite(gamma), mask & (hills() >= 0.2 * hills().max()))
    nothing = gamma_index(hills(), hills(), SPACING, mask=np.zeros_like(mask))
    assert np.isnan(nothing).all() and np.isnan(passing_percent(nothing))


def test_gamma_is_cut_off_at_its_largest_value():
    gamma = gamma_index(np.full((4, 4, 4), 50.0), np.full((4, 4, 4), 70.0), SPACING, GammaCriteria(max_gamma=1.5))
    assert gamma == pytest.approx(1.5) and passing_percent(gamma) == 0


@pytest.mark.parametrize("local", [False, True])
def test_in_white_noise_no_sampled_place_has_a_smaller_value(local):
    reference, evaluated = (np.random.default_rng(seed).uniform(0, 80, (5, 5, 5)) for seed in (1, 2))
    criteria = GammaCriteria(local=local)
    gamma = gamma_index(reference, evaluated, SPACING, criteria)
    fine = np.stack(np.meshgrid(*[np.linspace(0, 4, 81)] * 3, indexing="ij")).reshape(3, -1)
    doses = map_coordinates(evaluated, fine, order=1)
    for point in np.argwhere(np.isfinite(gamma))[::7]:
        here = reference[tuple(point)]
        apart = ((fine - point[:, None]) * np.array(SPACING)[:, None] / 3) ** 2
        sampled = np.sqrt((apart.sum(axis=0) + ((doses - here) / (0.03 * (here if local else reference.max()))) ** 2).min())
        assert gamma[tuple(point)] <= min(sampled, 2.0) + 0.01
        # A sample lies within 1/40 of a voxel of every place: the smallest value is not far below the best sample, where the dose is not steep.
        assert local or gamma[tuple(point)] > min(sampled, 2.0) - 0.5


def test_a_single_slice_is_searched_in_its_plane():
    reference, evaluated = hills()[7:8], hills((0, 1, 0))[7:8]
    whole = gamma_index(np.repeat(reference, 3, 0), np.repeat(evaluated, 3, 0), SPACING)
    assert gamma_index(reference, evaluated, SPACING)[0] == pytest.approx(whole[1], abs=1e-6, nan_ok=True)


def test_the_memory_budget_changes_nothing_but_the_number_of_steps():
    steps: list[list[float]] = [[], []]
    results = [
        gamma_index(hills(), hills((1, 1, 0), 1.02), SPACING, memory_mb=budget, on_progress=heard.append)
        for budget, heard in zip((0.1, 500), steps, strict=True)
    ]
    assert np.array_equal(*results, equal_nan=True)
    assert len(steps[0]) > len(steps[1]) and steps[0] == sorted(steps[0]) and steps[0][-1] == steps[1][-1] == 1.0


def test_progress_that_raises_ends_the_search():
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gamma_index(hills(), hills(), SPACING, memory_mb=0.1, on_progress=stop)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gamma_index(np.ones((3, 3)), np.ones((3, 3)), SPACING), "(3, 3)"),
        (lambda: gamma_index(np.ones((3, 3, 3)), np.ones((3, 3, 4)), SPACING), "(3, 3, 4)"),
        (lambda: gamma_index(np.full((3, 3, 3), np.nan), np.ones((3, 3, 3)), SPACING), "27 voxels"),
        (lambda: gamma_index(np.ones((3, 3, 3)), np.ones((3, 3, 3)), (1.0, 0.0, 1.0)), "spacing"),
        (lambda: GammaCriteria(distance_mm=0), "distance_mm is 0 mm"),
        (lambda: GammaCriteria(max_gamma=1), "max_gamma is 1"),
        (lambda: GammaCriteria(threshold_percent=120), "120"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(call, said):
    with pytest.raises(ValueError) as error:
        call()
    assert said in str(error.value)


# Twice as many samples as by default: pymedphys' gamma is too large by what lies between its samples.
PYMEDPHYS = """
import sys, numpy as np, pymedphys
pair = np.load(sys.argv[1])
axes = tuple(np.arange(n) * spacing for n, spacing in zip(pair["reference"].shape, pair["spacing"]))
percent, distance_mm, local = pair["criteria"]
np.save(sys.argv[2], pymedphys.gamma(
    axes, pair["reference"], axes, pair["evaluated"], percent, distance_mm,
    lower_percent_dose_cutoff=10, interp_fraction=20, max_gamma=1.5, local_gamma=bool(local),
))
"""


def gamma_of_pymedphys(pair: Path, reference: np.ndarray, evaluated: np.ndarray, percent: float, distance_mm: float, local: bool) -> np.ndarray:
    """In a process of its own: once its lazy imports are about, PySide cannot evaluate signatures any more."""
    np.savez(pair, reference=reference, evaluated=evaluated, spacing=SPACING, criteria=(percent, distance_mm, local))
    found = pair.with_suffix(".npy")
    subprocess.run([sys.executable, "-c", PYMEDPHYS, str(pair), str(found)], check=True, capture_output=True)
    return np.load(found)


@pytest.mark.parametrize(
    ("percent", "distance_mm", "local", "shift_mm", "scale"),
    [(3, 3, False, (2.0, 1.0, 2.0), 1.03), (2, 2, False, (0.5, 1.0, 1.0), 0.97), (3, 3, True, (1.0, 1.0, 1.0), 1.04)],
)
def test_it_agrees_with_pymedphys_within_a_fifth_of_a_percent_of_the_points(percent, distance_mm, local, shift_mm, scale, tmp_path):
    if importlib.util.find_spec("pymedphys") is None:
        pytest.skip("compares with pymedphys, which is not installed")
    reference, evaluated = hills(shape=(11, 13, 14)), hills(shift_mm, scale, shape=(11, 13, 14))
    theirs = gamma_of_pymedphys(tmp_path / "pair.npz", reference, evaluated, percent, distance_mm, local)
    ours = gamma_index(reference, evaluated, SPACING, GammaCriteria(percent, distance_mm, local=local, max_gamma=1.5))
    judged = np.isfinite(theirs)
    assert np.array_equal(judged, np.isfinite(ours))
    assert 5 < passing_percent(ours) < 99.9
    # What pymedphys puts within half a percent of 1 may lie on either side, by its own step.
    differ = ((ours <= 1) != (theirs <= 1)) & (np.abs(theirs - 1) > 0.005)
    assert np.count_nonzero(differ) <= 0.002 * np.count_nonzero(judged)
    assert np.count_nonzero((ours - theirs)[judged] > 0.01) <= 0.002 * np.count_nonzero(judged)
    assert np.abs(ours - theirs)[judged].mean() < 0.03
