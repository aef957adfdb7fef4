"""A prediction from case to dose."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from dose_prediction.case import Beam, CaseError, DoseGoal, Grid, PlanCase, Role, Structure
from dose_prediction.device import DeviceError
from dose_prediction.physics.mimic import deliverable_dose
from dose_prediction.prediction import Cancelled, Prediction, Progress, predict
from dose_prediction.prediction_cache import PredictionCache
from tiny_model import tiny_bundle
from water_case import SHAPE, water_case

MODEL = tiny_bundle()


def test_dose_is_zero_outside_the_body_never_negative_and_always_a_number() -> None:
    case = water_case()
    found = predict(case, tiny_bundle(strength=0.5), samples=1, device="cpu")
    for dose in (found.dose_gy, found.prior_gy, *found.samples_gy):
        assert dose.shape == case.grid.shape
        assert dose.dtype == np.float32
        assert np.isfinite(dose).all()
        assert dose.min() >= 0
        assert np.all(dose[~case.body] == 0)


def test_the_same_seed_gives_the_same_dose_and_another_seed_other_samples() -> None:
    case = water_case()
    first, again, other = (predict(case, MODEL, samples=2, seed=seed, device="cpu") for seed in (1, 1, 2))
    assert np.array_equal(first.dose_gy, again.dose_gy)
    assert all(np.array_equal(a, b) for a, b in zip(first.samples_gy, again.samples_gy, strict=True))
    assert np.array_equal(first.dose_gy, other.dose_gy)  # the expected dose has no chance in it
    assert not np.array_equal(first.samples_gy[0], other.samples_gy[0])
    assert not np.array_equal(first.samples_gy[0], first.samples_gy[1])
    assert np.allclose(first.spread_gy, np.std(first.samples_gy, axis=0), atol=1e-4)


def test_without_samples_there_is_no_spread() -> None:
    found = predict(water_case(), MODEL, device="cpu")
    assert found.samples_gy == ()
    assert found.spread_gy is None


def test_progress_names_each_stage_in_turn_and_ends_at_one() -> None:
    told: list[Progress] = []
    predict(water_case(), MODEL, samples=1, device="cpu", on_progress=told.append)
    stages = list(dict.fromkeys(progress.stage for progress in told))
    assert stages == [
        "Preparing the case",
        "Physics prior",
        "Encoding the case",
        "Predicting the dose",
        "Sampling plans",
        "Finishing",
        "Fitting the beams",
    ]
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] == pytest.approx(1.0)
    assert max(np.diff(fractions)) < 0.3


def test_a_cancel_is_obeyed_at_the_next_step_of_every_stage() -> None:
    stages: set[str] = set()
    asked = 0

    def count(progress: Progress) -> None:
        stages.add(progress.stage)

    def after(steps: int) -> Prediction:
        nonlocal asked
        asked = 0

        def is_cancelled() -> bool:
            nonlocal asked
            asked += 1
            return asked > steps

        return predict(water_case(), MODEL, samples=1, device="cpu", on_progress=count, is_cancelled=is_cancelled)

    after(10**6)
    steps = asked
    assert len(stages) == 7
    for allowed in (0, 1, steps // 2, steps - 1):
        with pytest.raises(Cancelled):
            after(allowed)
        assert asked == allowed + 1  # nothing was done after the cancel was seen


def test_provenance_says_where_the_dose_came_from_and_nothing_of_the_patient() -> None:
    case = water_case("Jane Doe 1970-01-01")
    provenance = predict(case, MODEL, samples=1, seed=5, device="cpu").provenance
    text = json.dumps(provenance.as_dict())
    assert "Doe" not in text and "1970" not in text
    assert provenance.seed == 5
    assert provenance.case_sha256 == case.digest
    assert provenance.model_sha256 == MODEL.sha256
    assert set(provenance.stage_seconds) >= {"Physics prior", "Predicting the dose"}
    assert all(math.isfinite(seconds) and seconds >= 0 for seconds in provenance.stage_seconds.values())


def test_a_case_like_those_trained_on_has_no_warning_and_others_say_what_differs() -> None:
    case = water_case()
    assert predict(case, MODEL, device="cpu").provenance.warnings == []
    bladder = Structure("Bladder", Role.organ("Bladder"), case.organs[0].mask)
    strange_target = replace(case.targets[0], role=Role.target(60.0))
    unlisted = Structure("Uvula", Role.organ(""), case.organs[0].mask)
    other = PlanCase("other", case.grid, case.ct_hu, (case.structures[0], strange_target, bladder, unlisted), (Beam(0), Beam(180)))
    warnings = " ".join(predict(other, MODEL, device="cpu").provenance.warnings)
    assert "Bladder, Uvula" in warnings
    assert "60 Gy" in warnings
    assert "number of beams 2 (trained: 5 to 5)" in warnings


def test_a_warm_cache_gives_the_dose_of_a_cold_one_whatever_was_edited() -> None:
    case, cache = water_case(), PredictionCache()
    shrunk = np.copy(case.organs[0].mask)
    shrunk[:8] = False
    edits = {
        "nothing": case,
        "an organ": replace(case, structures=(*case.structures[:3], replace(case.structures[3], mask=shrunk))),
        "a target": replace(
            case,
            structures=(*case.structures[:2], replace(case.structures[2], mask=np.roll(case.structures[2].mask, 2, axis=1)), *case.structures[3:]),
        ),
        "a prescription": replace(case, structures=(*case.structures[:2], replace(case.structures[2], role=Role.target(60.0)), *case.structures[3:])),
        "the beams": case.with_beams((Beam(10), Beam(130), Beam(250))),
        "the CT": replace(case, ct_hu=np.where(case.body, np.float32(50), case.ct_hu)),
        "the isocentre": replace(case, isocentre_mm=(5.0, 0.0, 0.0)),
    }
    predict(case, MODEL, device="cpu", cache=cache)
    for edit, edited in edits.items():
        warm, cold = (predict(edited, MODEL, device="cpu", cache=kept).dose_gy for kept in (cache, None))
        assert np.array_equal(warm, cold), edit


def test_after_an_edit_of_an_organ_no_beam_is_traced_again() -> None:
    case, cache = water_case(), PredictionCache()
    predict(case, MODEL, device="cpu", cache=cache)
    traced = cache.traces.nbytes
    predict(replace(case, structures=case.structures[:3]), MODEL, device="cpu", cache=cache)
    assert cache.traces.nbytes == traced > 0
    predict(case.with_beams((Beam(10),)), MODEL, device="cpu", cache=cache)
    assert cache.traces.nbytes > traced


def test_a_goal_changes_the_dose_and_is_told_of() -> None:
    case = water_case()
    goals = [DoseGoal("Parotid_L", "mean", 5.0)]
    plain, steered = (predict(case, MODEL, samples=1, device="cpu", goals=asked) for asked in ((), goals))
    organ = case.organs[0].mask
    assert plain.dose_gy[organ].mean() > 6
    assert steered.dose_gy[organ].mean() == pytest.approx(5.0, abs=0.5)
    assert plain.samples_gy[0][organ].mean() - steered.samples_gy[0][organ].mean() > 1
    assert plain.changes == () and plain.provenance.goals == []
    assert steered.provenance.goals == ["Parotid_L mean <= 5 Gy"]
    told = {(change.structure, change.metric): change for change in steered.changes}
    assert told["Parotid_L", "Dmean"].before_gy == pytest.approx(plain.dose_gy[organ].mean(), abs=1e-3)
    assert told["Parotid_L", "Dmean"].after_gy == pytest.approx(steered.dose_gy[organ].mean(), abs=1e-3)
    with pytest.raises(CaseError, match=r"'SpinalCord max <= 40 Gy' is for an organ that the case has not; give one of Parotid_L"):
        predict(case, MODEL, device="cpu", goals=[DoseGoal("SpinalCord", "max", 40.0)])


@pytest.mark.parametrize(
    "grid",
    [
        Grid(SHAPE, (78.0, 78.0, -30.0), (4.0, 4.0, 3.0), ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))),  # turned half round
        Grid(SHAPE, (-78.0, -78.0, 27.0), (4.0, 4.0, 3.0), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))),  # left-handed: from the top down
    ],
    ids=["half turn", "left-handed"],
)
def test_a_patient_stored_along_other_axes_gets_the_same_dose(grid: Grid) -> None:
    straight = water_case()
    flips = tuple(axis for axis in range(3) if np.diag(grid.direction)[2 - axis] < 0)
    stored = PlanCase(
        "stored otherwise",
        grid,
        np.flip(straight.ct_hu, flips),
        tuple(Structure(s.name, s.role, np.flip(s.mask, flips)) for s in straight.structures),
        straight.beams,
    )
    dose = predict(straight, MODEL, device="cpu").dose_gy
    other = np.flip(predict(stored, MODEL, device="cpu").dose_gy, flips)
    inner = straight.body & np.roll(straight.body, 1, 2) & np.roll(straight.body, -1, 2)
    assert np.abs(dose - other)[inner].mean() < 0.5


@pytest.mark.parametrize(("device", "sentence"), [("tpu", "Unknown device 'tpu'; choose one of"), ("cuda", "finds no CUDA GPU here")])
def test_a_device_that_is_not_there_is_refused_and_never_replaced(device: str, sentence: str) -> None:
    import torch

    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA GPU")
    with pytest.raises(DeviceError, match=sentence):
        predict(water_case(), MODEL, device=device)


def test_every_prediction_says_what_its_beams_cannot_do() -> None:
    found = predict(water_case(), tiny_bundle(strength=0.5), device="cpu")
    assert 0 < found.deliverability.mean_gy < found.deliverability.p99_gy
    assert found.provenance.as_dict()["deliverability"] == {"mean_gy": found.deliverability.mean_gy, "p99_gy": found.deliverability.p99_gy}
    assert not found.provenance.is_deliverable


def test_the_dose_is_told_before_the_beams_are_fitted_to_it() -> None:
    told = []
    found = predict(water_case(), tiny_bundle(strength=0.5), device="cpu", on_dose=told.append)
    (first,) = told
    assert first.dose_gy is found.dose_gy
    assert first.deliverability is None and "Fitting the beams" not in first.provenance.stage_seconds
    assert found.deliverability is not None and found.provenance.stage_seconds["Fitting the beams"] > 0
    told.clear()
    given = predict(water_case(), tiny_bundle(strength=0.5), device="cpu", is_deliverable=True, on_dose=told.append)
    assert told[0].deliverability == given.deliverability is not None


def test_a_deliverable_dose_can_be_delivered_and_samples_move_with_it() -> None:
    case, model = water_case(), tiny_bundle(strength=0.5)
    wished = predict(case, model, samples=1, device="cpu")
    given = predict(case, model, samples=1, device="cpu", is_deliverable=True)
    assert given.provenance.is_deliverable
    assert np.abs(given.dose_gy - wished.dose_gy)[case.body].mean() == pytest.approx(wished.deliverability.mean_gy, rel=0.2)
    left = np.abs(deliverable_dose(case, given.dose_gy) - given.dose_gy)[case.body].mean()
    assert left < 0.5 * wished.deliverability.mean_gy
    moved, shift = given.samples_gy[0] - wished.samples_gy[0], given.dose_gy - wished.dose_gy
    high = (wished.samples_gy[0] > 15) & (wished.dose_gy > 15)  # where nothing is cut off at zero
    assert np.corrcoef(moved[high], shift[high])[0, 1] > 0.9
