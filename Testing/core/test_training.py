"""Training: losses with known values, and a loop that resumes to the exact step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.utils import parameters_to_vector

from dose_prediction.case import CaseError
from dose_prediction.command_line import main
from dose_prediction.model.bundle import WEIGHTS_FILE, load_bundle, save_bundle
from dose_prediction.model.network import ADDiffDose, NetworkConfig
from dose_prediction.training import release
from dose_prediction.training.dataset import PREPARED_BY, PreparedCases, TrainingCase, prepare_cases, structures_in
from dose_prediction.training.loop import schedule, train
from dose_prediction.training.losses import absolute_error, dvh_error, squared_error
from dose_prediction.training.settings import TrainingSettings
from dose_prediction.training.training_step import TrainingStep, noise_factors
from small_patient import write_patient
from tiny_model import TINY, tiny_bundle

SETTINGS = TrainingSettings(steps=6, autoencoder_steps=2, warm_up=2, checkpoint_every=3, validate_every=3, learning_rate=3e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients to train on and one to validate on."""
    folder = tmp_path_factory.mktemp("patients")
    for name, seed in (("train/pt_1.npz", 1), ("train/pt_2.npz", 2), ("validation/pt_3.npz", 3)):
        (folder / name).parent.mkdir(exist_ok=True)
        write_patient(folder / name, seed)
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_an_interrupted_training_resumed_ends_where_an_uninterrupted_one_does(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(data / "train", tmp_path / "whole", settings=SETTINGS, config=TINY)
    steps = 0
    honest = TrainingStep.forward

    def interrupted(*arguments: Any) -> dict[str, torch.Tensor]:
        nonlocal steps
        steps += 1
        if steps == 5:  # after the checkpoint of step 3
            raise KeyboardInterrupt
        return honest(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(TrainingStep, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(data / "train", tmp_path / "halves", settings=SETTINGS, config=TINY)
    assert not (tmp_path / "halves" / WEIGHTS_FILE).exists()
    train(data / "train", tmp_path / "halves", resume=True, settings=SETTINGS, config=TINY)
    whole, halves = (load_file(tmp_path / name / WEIGHTS_FILE) for name in ("whole", "halves"))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_training_lowers_the_validation_error_and_writes_a_model_with_its_card(data: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(
        steps=60, autoencoder_steps=5, warm_up=5, validate_every=30, checkpoint_every=60, learning_rate=4e-3, average_decay=0.9
    )
    train(data / "train", tmp_path, validation=data / "validation", settings=settings, config=TINY)
    bundle = load_bundle(tmp_path)
    curve = bundle.card["validation_curve"]
    assert [point["step"] for point in curve] == [30, 60]
    prior_error = float(np.abs(PreparedCases(prepare_cases(data / "validation", tmp_path / "prepared_validation"))[0].residual).sum())
    body = PreparedCases([tmp_path / "prepared_validation" / "pt_3.npz"])[0].body.sum()
    assert curve[-1]["dose_score_gy"] < 0.9 * 10 * prior_error / body
    assert bundle.card["training_data"]["cases"] == 2
    assert json.dumps(bundle.card).isascii()
    # Released, its card says what a prediction scores: the same as the last point of the curve, which was taken on the region.
    found = release.card_entry(release.validate(bundle, data / "validation", samples=1))
    assert found["cases"] == 1
    assert found["dose_score_gy"] == pytest.approx(curve[-1]["dose_score_gy"], abs=0.05)
    assert found["dvh_score_gy"] == pytest.approx(curve[-1]["dvh_score_gy"], abs=0.1)
    assert found["dose_score_gy"] < found["prior_alone_dose_score_gy"]
    assert set(found["dvh_errors_gy"]) >= {"PTV70 D95", "SpinalCord D0.1cc", "RightParotid mean"}


def test_evaluate_tells_how_far_samples_can_be_trusted(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_bundle()
    save_bundle(tmp_path, model.network, model.card)
    command = ["evaluate", "--reference", str(data / "train"), "--samples", "2", "--model", str(tmp_path)]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["cases"]) == set(found["uncertainty"]["spearman_of_spread_and_error"]) == {"pt_1", "pt_2"}
    assert found["uncertainty"]["coverage_percent"].keys() == {"D99", "D95", "D1", "D0.1cc", "mean"}
    assert main(command) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    bands = 2 * (2 * 3 + 2 * 2)  # three metrics of two targets and two of two organs, of two cases
    assert ["all", str(bands), f"{found['uncertainty']['coverage_percent_overall']:.1f}"] in [row[:3] for row in rows]


def test_a_case_that_cannot_be_prepared_is_named_and_the_others_are_kept(data: Path, tmp_path: Path) -> None:
    for file in (data / "train").iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "pt_0.npz").write_bytes(b"not a case")
    with pytest.raises(CaseError, match=r"1 of 3 cases failed, pt_0.npz first"):
        prepare_cases(tmp_path, tmp_path / "prepared")
    assert sorted(file.name for file in (tmp_path / "prepared").iterdir()) == ["pt_1.npz", "pt_2.npz"]


def test_two_processes_interrupted_and_resumed_train_as_one_with_the_same_cases_a_step(data: Path, tmp_path: Path) -> None:
    """Gloo on two CPU processes that gather the gradients of two cases each; only the order of sums differs.

    Where a gradient says next to nothing, a step that has been made orthogonal is its rounding, so that weights drift apart a little.
    """
    settings = replace(SETTINGS, cases_per_step=4)
    train(data / "train", tmp_path / "one", validation=data / "validation", settings=settings, config=TINY)
    script = Path(__file__).parents[1] / "train_tiny.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script), str(data), str(tmp_path / "two")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    in_step_5 = "9"  # after the checkpoint of step 3
    for interrupted_at in (in_step_5, "0"):
        subprocess.run([*command, json.dumps(asdict(settings)), interrupted_at], check=True, env=environment, timeout=250)
    one, two = (load_bundle(tmp_path / name).card["validation_curve"] for name in ("one", "two"))
    assert [point["step"] for point in one] == [point["step"] for point in two] == [3, 6]
    for alone, shared in zip(one, two, strict=True):
        assert shared["dose_score_gy"] == pytest.approx(alone["dose_score_gy"], rel=2e-3)
        assert shared["dvh_score_gy"] == pytest.approx(alone["dvh_score_gy"], rel=5e-3)
    torch.manual_seed(settings.seed)
    networks = (ADDiffDose(TINY), *(load_bundle(tmp_path / name).network for name in ("one", "two")))
    start, alone, shared = (parameters_to_vector(network.parameters()).detach() for network in networks)
    assert float((alone - shared).abs().mean()) < 0.1 * float((alone - start).abs().mean())


@pytest.mark.parametrize("planner_step_share", [0.0, 1.0])
def test_half_precision_gives_the_gradients_of_full_precision_but_for_its_rounding(data: Path, tmp_path: Path, planner_step_share: float) -> None:
    settings = replace(SETTINGS, planner_step_share=planner_step_share)
    case = PreparedCases(prepare_cases(data / "train", tmp_path))[0]
    gradients = []
    for precision in (torch.float32, torch.bfloat16):
        network = tiny_bundle().network.requires_grad_(True)
        step = TrainingStep(network, settings, torch.device("cpu"), precision)
        sum(step(case, torch.Generator().manual_seed(0)).values(), torch.zeros(())).backward()
        found = [parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None]
        assert {gradient.dtype for gradient in found} == {torch.float32}
        gradients.append(torch.cat(found))
    assert float(torch.cosine_similarity(*gradients, dim=0)) > 0.98
    assert not torch.equal(*gradients)


def test_an_untrained_planner_is_as_far_off_as_the_quick_plan(data: Path, tmp_path: Path) -> None:
    case = PreparedCases(prepare_cases(data / "train", tmp_path))[0]
    settings = replace(SETTINGS, planner_step_share=1.0, start_noise=0.0)
    losses = TrainingStep(ADDiffDose(TINY), settings, torch.device("cpu"), torch.float32)(case, torch.Generator().manual_seed(0))
    quick_plan = float(np.abs(case.residual[case.body].astype(np.float32)).mean())
    assert float(losses["planned"].detach()) == pytest.approx(quick_plan, rel=1e-3)
    assert float(losses["rounds"].detach()) / SETTINGS.rounds_weight == pytest.approx(quick_plan, rel=0.1)  # of cells


def test_a_planners_start_is_as_far_off_as_asked() -> None:
    """A draw of each beam, which its beamlets share, and one of each beamlet."""
    logarithms = noise_factors(torch.zeros(400, 20, 20), 0.15, torch.Generator().manual_seed(0)).log()
    of_beams = logarithms.mean((1, 2))
    assert float(of_beams.std()) == pytest.approx(0.15, rel=0.1)
    assert float((logarithms - of_beams[:, None, None]).std()) == pytest.approx(0.15, rel=0.02)


@pytest.mark.parametrize("by", [None, PREPARED_BY - 1])
def test_a_case_prepared_by_an_earlier_version_is_refused(data: Path, tmp_path: Path, by: int | None) -> None:
    (file,) = prepare_cases(data / "train", tmp_path)[:1]
    with np.load(file) as stored:
        kept = {name: stored[name] for name in stored if name != "prepared_by"}
    np.savez(file, **kept, **({} if by is None else {"prepared_by": np.int64(by)}))
    with pytest.raises(CaseError, match=f"{file.name} was prepared by an earlier version; remove it"):
        PreparedCases([file])[0]


def test_cases_that_processes_cannot_share_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="0 cases a step"):
        train(data / "train", tmp_path, settings=replace(SETTINGS, cases_per_step=0), config=TINY)


def test_simulated_plans_are_trained_on_in_their_share(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_cases(data / "validation", tmp_path / "simulated")
    seen: list[str] = []
    honest = TrainingStep.forward

    def watched(step: TrainingStep, case: TrainingCase, generator: torch.Generator) -> dict[str, torch.Tensor]:
        seen.append(case.name)
        return honest(step, case, generator)

    monkeypatch.setattr(TrainingStep, "forward", watched)
    settings = replace(SETTINGS, steps=30, simulated_share=0.5)
    train(data / "train", tmp_path / "run", simulated=[tmp_path / "simulated"], settings=settings, config=TINY)
    assert 6 <= seen.count("pt_3") <= 24
    assert {"pt_1", "pt_2"} <= set(seen)


def test_a_case_that_is_trained_on_cannot_be_scored(data: Path, tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="pt_1 is in both"):
        train(data / "train", tmp_path, validation=data / "train", settings=SETTINGS, config=TINY)


def test_a_folder_without_cases_and_a_missing_checkpoint_are_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"No pt_\*.npz"):
        train(tmp_path, tmp_path / "run", settings=SETTINGS, config=TINY)
    with pytest.raises(CaseError, match="no checkpoint"):
        train(data / "train", tmp_path / "run", resume=True, settings=SETTINGS, config=TINY)


def test_a_training_goes_on_from_a_model_with_fewer_blocks(data: Path, tmp_path: Path) -> None:
    train(data / "train", tmp_path / "first", validation=data / "validation", settings=SETTINGS, config=TINY)
    larger, still = replace(TINY, encoder_blocks=(2, 1, 1, 1)), replace(SETTINGS, steps=8, learning_rate=0.0)
    train(data / "train", tmp_path / "second", start_from=tmp_path / "first", validation=data / "validation", settings=still, config=larger)
    first, second = (load_bundle(tmp_path / name) for name in ("first", "second"))
    for name, tensor in first.network.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], tensor), name
    assert second.card["steps"] == 8
    assert [entry["step"] for entry in second.card["validation_curve"]] == [3, 6, 8]
    assert second.card["hours"] >= first.card["hours"]


@pytest.mark.parametrize(
    ("steps", "config", "reason"),
    [
        (6, TINY, "has been trained for 6 steps, 6 in all are asked for"),
        (9, replace(TINY, widths=(8, 16, 16, 48)), "other widths .*size mismatch for .*; train without it"),
        (9, replace(TINY, encoder_blocks=(0, 0, 1, 1)), "has weights that the network has not, condition_encoder.levels.0.0"),
    ],
)
def test_a_model_that_cannot_be_gone_on_from_is_refused(data: Path, tmp_path: Path, steps: int, config: NetworkConfig, reason: str) -> None:
    save_bundle(tmp_path / "model", tiny_bundle().network, {"version": "1", "steps": 6})
    with pytest.raises(CaseError, match=reason):
        train(data / "train", tmp_path, start_from=tmp_path / "model", settings=replace(SETTINGS, steps=steps), config=config)


def test_a_training_does_not_resume_and_start_from_a_model_at_once(data: Path, tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="leave one out"):
        train(data / "train", tmp_path, resume=True, start_from=tmp_path, settings=SETTINGS, config=TINY)


def test_learning_rate_rises_stays_and_falls_to_zero() -> None:
    settings = TrainingSettings(steps=1000, warm_up=100, decay_fraction=0.3)
    rates = [schedule(step, settings) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert all(rate == 1.0 for rate in rates[100:700])
    assert rates[-1] < 1e-3
    assert all(later <= earlier for earlier, later in pairwise(rates[100:]))
    assert schedule(500, settings, first_step=451) == pytest.approx(0.5)  # of a training that goes on from step 451


def test_dvh_error_has_the_values_of_a_hand_computed_case() -> None:
    # A target of five voxels 1 Gy too cold everywhere: the curve and D99, D95, D1 are each off by 1.
    reference = torch.tensor([60.0, 61.0, 62.0, 63.0, 64.0, 10.0, 20.0, 30.0])
    target, organ = (True, torch.arange(5)), (False, torch.arange(5, 8))
    colder = reference.clone()
    colder[:5] -= 1
    assert float(dvh_error(colder, reference, [target], 100.0)) == pytest.approx(1.0)
    # An organ whose voxels exchange their doses has the same DVH.
    exchanged = reference.clone()
    exchanged[5:] = torch.tensor([30.0, 10.0, 20.0])
    assert float(dvh_error(exchanged, reference, [organ], 100.0)) == 0.0
    # Its hottest voxel 3 Gy hotter: curve 1, mean 1, D0.1cc (the mean of the two hottest here) 1.5, so 0.5 * (1 + 0.5 * (1 + 1.5)); halved by the
    # target that is right.
    hotter = reference.clone()
    hotter[7] += 3
    assert float(dvh_error(hotter, reference, [target, organ], 100.0)) == pytest.approx(0.5625)


def test_errors_are_means_over_the_body() -> None:
    body = torch.tensor([True, True, False, False])
    predicted, wanted = torch.tensor([1.0, 3.0, 9.0, 9.0]), torch.tensor([0.0, 0.0, 0.0, 0.0])
    assert float(absolute_error(predicted, wanted, body)) == 2.0
    assert float(squared_error(predicted, wanted, body, torch.tensor(0.5))) == 2.5


def test_prepared_cases_are_kept_and_hold_reference_and_prior(data: Path, tmp_path: Path) -> None:
    files = prepare_cases(data / "train", tmp_path)
    stamps = [file.stat().st_mtime_ns for file in files]
    assert [file.stat().st_mtime_ns for file in prepare_cases(data / "train", tmp_path)] == stamps
    case = PreparedCases(files)[0]
    structures = structures_in(torch.from_numpy(case.volumes))
    assert [is_target for is_target, _ in structures] == [True, True, False, False]
    dose = case.volumes[1].astype(np.float32) * 70 + case.residual.astype(np.float32) * 10
    assert dose[case.body].max() == pytest.approx(70.0, abs=0.1)  # the reference's own maximum


def test_another_prior_of_a_case_leads_to_the_same_reference(data: Path, tmp_path: Path) -> None:
    files = prepare_cases(data / "train", tmp_path, variants=2)
    usual, varied = PreparedCases([files[0], files[2]])
    assert (usual.name, varied.name) == (files[0].stem, f"{files[0].stem}_prior_1")
    priors = [case.volumes[1].astype(np.float32) * 70 for case in (usual, varied)]
    doses = [prior + case.residual.astype(np.float32) * 10 for prior, case in zip(priors, (usual, varied), strict=True)]
    assert np.abs(priors[0] - priors[1])[usual.body].mean() > 0.2
    assert np.abs(doses[0] - doses[1])[usual.body].max() < 0.1
