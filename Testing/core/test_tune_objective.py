"""How a plan answers to its objective, against what happens when the objective is changed."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from dose_prediction.case import CaseError, equispaced_beams
from dose_prediction.physics.learnt_objective import learnt_objective
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.region import planning_region
from dose_prediction.training import tune_objective
from dose_prediction.training.tune_objective import (
    DVH_WEIGHT,
    Descent,
    Parameters,
    Scene,
    assembled,
    error_and_gradient,
    main,
    parameters_of,
    planned,
    scene_of,
    solved,
)
from small_patient import write_patient
from water_case import water_case

CHANGE = 0.1


@cache
def scene_and_parameters() -> tuple[Scene, Parameters]:
    """The water case, whose reference is a quick plan with other numbers."""
    case = water_case().with_beams(equispaced_beams(5))
    region = planning_region(case)
    traced = trace_beams(case, region)
    parameters = parameters_of(learnt_objective())
    scene = scene_of(region, traced, physics_prior(region, traced).dose_gy)
    changes = {"relative_dose": 0.05, "Parotid_L slopes": 1.5, "fall_off": 1.0, "simplicity": -0.7}
    other = {name: values + changes.get(name, 0.0) for name, values in parameters.items()}
    scene.reference_gy = scene.dose(planned(scene, assembled(other).at(scene.features), 150))
    return scene, parameters


def error(parameters: Parameters) -> float:
    scene, _ = scene_and_parameters()
    of_dose, of_dvhs = scene.errors(scene.dose(planned(scene, assembled(parameters).at(scene.features), 300)))
    return (of_dose + DVH_WEIGHT * of_dvhs).item()


@pytest.mark.parametrize(("name", "row"), [("relative_dose", 0), ("simplicity", 0), ("Parotid_L slopes", 0)])
def test_the_gradient_is_what_a_change_brings(name: str, row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_objective, "SOLVER_STEPS", 200)  # as exact as the theory
    monkeypatch.setattr(tune_objective, "DAMPING", 1e-4)
    scene, parameters = scene_and_parameters()
    change = 0.1 * CHANGE if name == "relative_dose" else CHANGE
    changed = []
    for sign in (1, -1):
        tried = {key: values.clone() for key, values in parameters.items()}
        tried[name][row] += sign * change
        changed.append(error(tried))
    for _ in range(8):  # a plan at its optimum, as the theory wants it
        _, gradients = error_and_gradient(scene, parameters)
    assert gradients[name][row] == pytest.approx((changed[0] - changed[1]) / (2 * change), rel=0.3, abs=0.01)
    assert abs(gradients[name][row]) > 0.02


def test_the_solver_solves() -> None:
    generator = np.random.default_rng(0)
    half = generator.normal(size=(12, 12))
    matrix, wanted = torch.from_numpy(half @ half.T + 3 * np.eye(12)), torch.from_numpy(generator.normal(size=12))
    assert solved(lambda x: matrix @ x, wanted).numpy() == pytest.approx(np.linalg.solve(matrix.numpy(), wanted.numpy()), abs=0.01)


def test_both_sides_answer_alike_about_values_of_their_own() -> None:
    parameters = parameters_of(learnt_objective())
    parameters["Parotid_L peaks"] += 1.0
    parameters["Parotid_L peaks answers"] += 0.5
    objective = assembled(parameters)
    left, right = (objective.organs[name]["peaks"] for name in ("Parotid_L", "Parotid_R"))
    assert torch.equal(left.answers, right.answers)
    assert left.usual.numpy() == pytest.approx(learnt_objective().organs["Parotid_L"]["peaks"].usual.numpy() * np.e, rel=1e-5)
    assert right.usual.numpy() == pytest.approx(learnt_objective().organs["Parotid_R"]["peaks"].usual.numpy(), rel=1e-5)


def test_plans_come_nearer_to_the_reference_plans_that_are_learnt_from(tmp_path: Path) -> None:
    for number in (1, 2):
        write_patient(tmp_path / f"pt_{number}.npz", number)
    descent = Descent(sorted(tmp_path.glob("*.npz")), learnt_objective(), workers=1)
    before = learnt_objective().numbers["shortfall"].answers.clone()
    assert [path.stem for path in descent.held_out] == ["pt_1"]
    first, *_, last = (sum(descent.step(1.0)) for _ in range(12))
    assert last < 0.97 * first
    assert torch.equal(learnt_objective().numbers["shortfall"].answers, before)  # what it began with stays as it is


def test_all_cases_are_learnt_from_where_none_is_to_be_held_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        write_patient(tmp_path / f"pt_{number}.npz", number)
    assert main(["--data", str(tmp_path), "--output", str(tmp_path / "learnt.json"), "--minutes", "0.001", "--held-out", "0"]) == 0
    assert "held out" not in capsys.readouterr().out
    descent = Descent(sorted(tmp_path.glob("*.npz")), learnt_objective(), workers=1, held_out=0)
    assert [path.stem for path in descent.learnt_from] == ["pt_1", "pt_2"]


def test_what_is_learnt_is_written_where_it_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_patient(tmp_path / "pt_1.npz", 1)
    assert main(["--data", str(tmp_path), "--output", str(tmp_path / "learnt.json"), "--minutes", "0.001"]) == 0
    assert re.search(r"held out: \d+\.\d+ Gy", capsys.readouterr().out)
    before, after = learnt_objective(), learnt_objective(tmp_path / "learnt.json")
    assert after.numbers["relative_dose"].usual.numpy() == pytest.approx(before.numbers["relative_dose"].usual.numpy(), rel=0.05)
    assert not torch.equal(after.numbers["shortfall"].usual, before.numbers["shortfall"].usual)


def test_a_damaged_case_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "pt_1.npz").write_bytes(b"not a case")
    with pytest.raises(CaseError, match=r"pt_1\.npz cannot be read"):
        main(["--data", str(tmp_path), "--output", str(tmp_path / "learnt.json")])
    assert not (tmp_path / "learnt.json").exists()
