"""The points that a plan is optimised at: they stand for all, evenly, and each is chosen for where it lies."""

from __future__ import annotations

import numpy as np
import pytest

from dose_prediction.physics.fluence import sampled_points

PLACES = np.argwhere(np.ones((30, 40, 50), bool)).astype(float)
WEIGHED = (np.abs(PLACES - [12, 18, 30]) < 5).all(axis=1)


@pytest.mark.parametrize("rest", [0.35, 0.1])
def test_about_as_many_points_are_chosen_as_were_asked_for_and_more_of_the_weighed(rest: float) -> None:
    chosen, _ = sampled_points(PLACES, WEIGHED, 6_000, rest)
    assert len(chosen) == pytest.approx(6_000, rel=0.02)
    shares = [np.isin(np.flatnonzero(part), chosen.numpy()).mean() for part in (WEIGHED, ~WEIGHED)]
    assert shares[0] / shares[1] == pytest.approx(1 / rest, rel=0.05)


def test_all_points_are_chosen_where_there_are_no_more_than_asked_for() -> None:
    chosen, importance = sampled_points(PLACES, np.ones(len(PLACES), bool), 10**6)
    assert len(chosen) == len(PLACES)
    assert (importance == 1).all()


def test_sums_over_the_chosen_points_are_those_over_all_and_closer_than_by_chance() -> None:
    waves = [np.cos(PLACES @ direction / 4) + 1 for direction in np.random.default_rng(1).normal(size=(50, 3))]
    chosen, importance = sampled_points(PLACES, WEIGHED, 9_000)
    errors = np.array([(wave[chosen] * importance.numpy()).sum() - wave.sum() for wave in waves])
    by_chance = np.sqrt(sum(((importance.numpy() - 1) * importance.numpy() * wave[chosen] ** 2).sum() for wave in waves) / len(waves))
    assert np.sqrt((errors**2).mean()) < by_chance / 3


def test_a_voxel_that_is_chosen_stays_so_when_others_are_cut_away() -> None:
    whole, _ = sampled_points(PLACES, np.ones(len(PLACES), bool), len(PLACES) // 4)
    rest = PLACES[:, 0] >= 3
    part, _ = sampled_points(PLACES[rest], np.ones(rest.sum(), bool), rest.sum() // 4)
    assert set(np.flatnonzero(rest)[part.numpy()]) == set(whole.numpy()) & set(np.flatnonzero(rest))
