"""The DVHs of targets as they are foreseen, and doses that are brought to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dose_prediction.model.bundle import load_bundle, save_bundle
from dose_prediction.model.condition import CHANNELS, DISTANCE_SCALE_MM, DOSE_SCALE_GY
from dose_prediction.model.target_dvh import NOISE, VOLUME_PERCENT, TargetDVH, TargetDVHs, dvh, target_features, target_mask
from dose_prediction.prediction import predict
from dose_prediction.training.calibrate import NOT_CALIBRATED
from dose_prediction.training.dataset import TrainingCase
from dose_prediction.training.release import released_limits
from dose_prediction.training.target_dvhs import FEWEST, Targets, fitted_target_dvhs, targets_of
from tiny_model import tiny_bundle
from water_case import water_case

SPACING = (3.0, 4.0, 4.0)
SHAPE = (24, 30, 30)
POINTS = len(VOLUME_PERCENT)


def volumes(quick_gy: float = 70.0) -> np.ndarray:
    """A body that fills all but a margin, and in it a box of 70 Gy beside one of 56 Gy, to which the quick plan gives `quick_gy`."""
    channels = np.zeros((len(CHANNELS), *SHAPE), np.float32)
    channels[CHANNELS.index("body"), 1:-1, 2:-2, 2:-2] = 1
    prescription = channels[CHANNELS.index("prescription")]
    prescription[8:16, 10:18, 10:18] = 70 / DOSE_SCALE_GY
    prescription[8:16, 10:18, 18:22] = 56 / DOSE_SCALE_GY
    channels[CHANNELS.index("Larynx"), :, 24:26, 14:16] = 1
    depth_mm = np.where(prescription > 0, 4.0, -10.0)
    depth_mm[10:14, 12:16, 12:20] = 8.0
    channels[CHANNELS.index("distance")] = -depth_mm / DISTANCE_SCALE_MM
    channels[CHANNELS.index("prior")] = np.where(prescription > 0, quick_gy, 20.0) / DOSE_SCALE_GY
    return channels


def uneven_dose(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 2, SHAPE)
    return (np.where(target_mask(volumes(), 70.0), 70, np.where(target_mask(volumes(), 56.0), 58, 25)) + noise).astype(np.float32)


def known_of(prescription: float, wanted_gy: np.ndarray, channels: np.ndarray) -> TargetDVHs:
    """As if all training cases were like that of `channels`, with targets that get `wanted_gy` relative to the prescription."""
    features = target_features(channels, float(np.prod(SPACING)), prescription)
    return TargetDVHs({prescription: TargetDVH.fitted(np.stack([features] * 30), np.stack([wanted_gy] * 30))})


WANTED = np.linspace(-3, 5, POINTS)


def test_features_are_what_they_are_named_after() -> None:
    d99, d95, d50, d1, target_cc, body_cc, border = target_features(volumes(quick_gy=72.0), 48.0, 70.0)
    assert (d99, d95, d50, d1) == pytest.approx((2, 2, 2, 2), abs=1e-4)
    assert np.exp(target_cc) == pytest.approx(8 * 8 * 8 * 0.048)
    assert np.exp(body_cc) == pytest.approx(22 * 26 * 26 * 0.048)
    assert border == pytest.approx(1 - 4 * 4 * 6 / 8**3)


def test_what_is_foreseen_is_the_mean_of_a_gaussian_process_given_the_training_cases() -> None:
    generator = np.random.default_rng(1)
    features, there = generator.normal(size=(25, 3)), generator.normal(size=3)
    dvhs = np.sort(generator.normal(size=(25, POINTS)), axis=1)
    known = TargetDVH.fitted(features, dvhs)
    # From the inverse of the joint covariance: E[f | y] = -precision[f, y] / precision[f, f] y.
    every = (np.vstack([there, features]) - features.mean(axis=0)) / features.std(axis=0)
    covariance = np.exp(-0.5 * ((every[:, None] - every) ** 2).mean(axis=-1)) + np.diag([0.0] + [NOISE] * 25)
    precision = np.linalg.inv(covariance)
    usual = np.median(dvhs, axis=0)
    about = np.clip(dvhs, *np.percentile(dvhs, (2, 98), axis=0)) - usual
    expected = usual - precision[0, 1:] @ about / precision[0, 0]
    found, likeness = known.foreseen(there)
    assert found == pytest.approx(np.maximum.accumulate(expected), abs=1e-5)
    assert likeness == pytest.approx(covariance[0, 1:].max(), abs=1e-6)


def test_the_dvh_of_a_target_becomes_what_is_foreseen_and_its_voxels_keep_their_order() -> None:
    channels, dose = volumes(), uneven_dose()
    found = known_of(70.0, WANTED, channels).applied(dose, channels, SPACING)
    target = target_mask(channels, 70.0)
    assert dvh(found[target]) == pytest.approx(70 + WANTED, abs=0.2)  # between the points of a DVH of few voxels
    assert np.array_equal(np.argsort(found[target], kind="stable"), np.argsort(dose[target], kind="stable"))


def test_what_lies_outside_moves_along_less_and_less() -> None:
    channels, dose = volumes(), uneven_dose()
    found = known_of(70.0, WANTED + 10, channels).applied(dose, channels, SPACING)
    moved = found - dose
    beside = [float(moved[8:16, 10:18, 10 - steps].mean()) for steps in range(1, 8)]
    assert 3 < beside[0] < 12
    assert beside == sorted(beside, reverse=True)
    assert beside[5] == pytest.approx(beside[0] * np.exp(-2), rel=0.4)  # 20 mm farther
    assert np.abs(moved[1:-1, 2:-2, 2]).max() < 2
    outside = channels[CHANNELS.index("body")] < 0.5
    assert not found[outside].any()
    assert found.min() >= 0


def test_the_farther_a_prescription_is_from_those_of_training_cases_the_less_is_moved() -> None:
    channels, dose = volumes(), uneven_dose()
    target, features = target_mask(channels, 56.0), target_features(channels, float(np.prod(SPACING)), 56.0)
    moves = []
    for prescription in (56.0, 59.0, 62.0, 80.0):
        known = TargetDVHs({prescription: TargetDVH.fitted(np.stack([features] * 30), np.stack([WANTED] * 30))})
        moves.append(float(np.abs(known.applied(dose, channels, SPACING) - dose)[target].mean()))
    assert moves[1:] == pytest.approx([moves[0] * np.exp(-0.5 * (gy / 5) ** 2) for gy in (3, 6, 24)], abs=1e-3)
    assert moves[0] > 0.5
    assert np.array_equal(TargetDVHs().applied(dose, channels, SPACING), dose)


def test_a_case_of_another_site_stays_as_it_is() -> None:
    channels, dose = volumes(), uneven_dose()
    channels[CHANNELS.index("SpinalCord")] = channels[CHANNELS.index("Larynx")]
    channels[CHANNELS.index("Larynx")] = 0
    assert np.array_equal(known_of(70.0, WANTED, channels).applied(dose, channels, SPACING), dose)


def test_a_case_unlike_all_training_cases_keeps_its_dose() -> None:
    channels, dose = volumes(), uneven_dose()
    generator = np.random.default_rng(2)
    features = target_features(channels, float(np.prod(SPACING)), 70.0) + 0.1 * generator.normal(size=(30, 7))
    known = TargetDVHs({70.0: TargetDVH.fitted(features, np.stack([WANTED] * 30))})
    alike, strange = (np.abs(known.applied(dose, shown, SPACING) - dose)[target_mask(channels, 70.0)].max() for shown in (channels, volumes(40.0)))
    assert alike > 1
    assert strange < 0.01


def test_it_is_kept_with_the_model_and_used(tmp_path: Path) -> None:
    case, plain = water_case(), tiny_bundle()
    before = predict(case, plain, device="cpu").dose_gy
    generator = np.random.default_rng(3)
    broad = TargetDVH.fitted(generator.normal(0, 1e6, (30, 7)), np.stack([WANTED] * 30))  # to whose cases everything is alike
    save_bundle(tmp_path, plain.network, plain.card, TargetDVHs({70.0: broad}))
    loaded = load_bundle(tmp_path)
    assert set(loaded.target_dvhs.known) == {70.0}
    for name, tensor in vars(broad).items():
        assert torch.equal(getattr(loaded.target_dvhs.known[70.0], name), tensor)
    after = predict(case, replace(loaded, card=plain.card), device="cpu").dose_gy
    mask = case.targets[0].mask
    likeness = broad.foreseen(np.zeros(7))[1]
    assert dvh(after[mask]) == pytest.approx(likeness * (70 + WANTED) + (1 - likeness) * dvh(before[mask]), abs=0.5)


def test_a_released_card_says_which_targets_it_knows_once() -> None:
    plain = tiny_bundle()
    model = replace(plain, card={"limits": [NOT_CALIBRATED, "Of one clinic."]}, target_dvhs=known_of(70.0, WANTED, volumes()))
    limits = released_limits(model)
    assert limits == [
        "Of one clinic.",
        "Targets of 70 Gy, or about it, get the DVHs that plans of the training cases have, where a case is like them.",
    ]
    assert released_limits(replace(model, card={"limits": limits})) == limits
    assert released_limits(replace(model, target_dvhs=TargetDVHs())) == ["Of one clinic."]


def training_cases(count: int) -> list[TrainingCase]:
    """Cases whose reference is hotter where the quick plan is: by 1 Gy and half as much again as that is above the prescription."""
    cases = []
    for number in range(count):
        above = 6 * number / count
        channels = volumes(70 + above)
        wanted = np.where(channels[CHANNELS.index("prescription")] > 0, 71 + 1.5 * above, 20)
        prior = channels[CHANNELS.index("prior")].astype(np.float16).astype(np.float32) * DOSE_SCALE_GY
        residual = ((wanted - prior) / 10).astype(np.float16)
        cases.append(TrainingCase(Path(f"pt_{number}.npz"), channels.astype(np.float16), residual, np.zeros((1, 1), np.float32), 48.0))
    return cases


def test_what_training_cases_tell_is_judged_on_those_left_out() -> None:
    targets = targets_of(training_cases(40))
    assert set(targets) == {70.0, 56.0}
    errors = targets[70.0].cross_validated_errors_gy()
    assert set(errors) == {"D99", "D95", "D1"}
    spread = float(np.abs(targets[70.0].dvhs_gy[:, 1] - np.median(targets[70.0].dvhs_gy[:, 1])).mean())
    assert 0 < errors["D95"] < 0.4 * spread  # the features tell most of it
    telling_nothing = Targets(np.random.default_rng(0).normal(size=targets[70.0].features.shape), targets[70.0].dvhs_gy)
    assert telling_nothing.cross_validated_errors_gy()["D95"] > 0.8 * spread
    foreseen, likeness = fitted_target_dvhs(targets).known[70.0].foreseen(target_features(volumes(73.0), 48.0, 70.0))
    assert foreseen == pytest.approx(np.full(POINTS, 1 + 1.5 * 3.0), abs=0.6)
    assert likeness > 0.9


def test_too_few_targets_tell_nothing() -> None:
    assert targets_of(training_cases(FEWEST - 1)) == {}
