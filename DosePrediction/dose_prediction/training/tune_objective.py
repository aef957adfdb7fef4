"""Learn what reference plans strive for: the objective whose quick plans come nearest to them.

    python -m dose_prediction.training.tune_objective --data DIR --output FILE --minutes 60

A plan is the fluence that makes its objective least.  How it answers to the numbers of the objective follows from that (implicit differentiation;
Domke, "Generic methods for optimization-based modeling", AISTATS 2012): while the numbers change, the gradient of the cost by the fluence stays zero
at all beamlets that are open.  Let H be the Hessian of the cost there, and g the gradient of the plan's error.  With v, which solves H v = g by
conjugate gradients, the error's gradient by the numbers is that of -(cost gradient . v), the fluence held fixed.  It costs about as much as a plan,
however many numbers there are; so that all of them can be learnt by descent, on all cases, each of which goes on from its last plan.

One case in `HELD_OUT` is not learnt from: its errors tell whether what is learnt holds for others.  Once that is known, `--held-out 0` learns from
all.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dose_prediction.case import CaseError
from dose_prediction.openkbp import find_cases, read_case, read_reference
from dose_prediction.option_types import count, positive_count, positive_number
from dose_prediction.physics.fluence import SeveralGoals, optimise_fluence, roughness, sampled_points, sweeps
from dose_prediction.physics.learnt_objective import (
    FILE,
    SHARES,
    CaseFeatures,
    Fitted,
    LearntObjective,
    case_features,
    learnt_objective,
    save_objective,
)
from dose_prediction.physics.pencil_beam import PencilBeams
from dose_prediction.physics.plan_objective import (
    BEHIND_CORD,
    SAMPLED_POINTS,
    SAMPLED_REST,
    PlanObjective,
    PlanPlaces,
    plan_goals,
    plan_places,
)
from dose_prediction.physics.prior import TracedBeams, trace_beams
from dose_prediction.region import PlanningRegion, onto_region, planning_region
from dose_prediction.training.losses import dvh_error
from dose_prediction.training.tool import run_tool

HELD_OUT = 6
CASES_A_STEP = 20
DVH_WEIGHT = 0.25  # of the error of DVHs, to that of the dose
MORE_ITERATIONS = 25  # with which a case goes on from its last plan
SOLVER_STEPS = 20
DAMPING = 1e-3  # of the Hessian's size along the gradient
OPEN = 1e-4  # fluence, of the mean, above which a beamlet is open
SHOW_EVERY = 12  # steps
# How far a step goes, by logarithm or logit; doses, ceilings and levels are known to a few per cent.
STEP = 0.07
SHORT_STEPS = {"relative_dose": 0.1, "relative_ceiling": 0.1, "relative_level": 0.4, "inner_relative_level": 0.4, "outer_relative_level": 0.4}
ANSWERS_STEP = 0.5  # of how far that of a usual value goes
SHRINKING = 0.01  # of the answers, a step of full length
ALIKE = {"Parotid_R": "Parotid_L"}  # the first answers to features as the second does

ANSWERS = " answers"  # ends the names of parameters that say how numbers answer to features
WARM_UP = 5  # steps

Parameters = dict[str, Tensor]
Answer = TypeVar("Answer")


@dataclass(eq=False)
class Scene:
    """A case at the points that its plan is optimised at, with the reference dose there (n,) and its last plan's fluence, relative to `unit`."""

    beams: PencilBeams
    places: PlanPlaces
    features: CaseFeatures
    importance: Tensor
    reference_gy: Tensor
    voxel_mm3: float
    unit: float
    fluence: Tensor
    is_planned: bool = False

    def dose(self, fluence: Tensor) -> Tensor:
        return self.beams.dose(self.beams.to_maps(fluence * self.unit))

    def adjoint(self, worth: Tensor) -> Tensor:
        return self.beams.adjoint(worth)[self.beams.open_beamlets] * self.unit

    def goals(self, objective: PlanObjective) -> SeveralGoals:
        return plan_goals(self.places, objective).at(torch.arange(len(self.importance)), self.importance)

    def fluence_cost(self, fluence: Tensor, objective: PlanObjective) -> Tensor:
        maps = self.beams.to_maps(fluence)
        return objective.smoothness * roughness(maps) + objective.simplicity * sweeps(maps).sum()

    def errors(self, dose_gy: Tensor) -> tuple[Tensor, Tensor]:
        """Mean absolute difference from the reference dose, and mean difference of the DVHs, in Gy."""
        difference = ((dose_gy - self.reference_gy).abs() * self.importance).sum() / self.importance.sum()
        prescription = self.places.prescription_gy
        structures = [(True, (prescription == target).nonzero()[:, 0]) for target, _, _ in self.places.targets]
        structures += [(False, structure.members.nonzero()[:, 0]) for structure in self.places.spared if structure.name != BEHIND_CORD]
        of_a_point = float(self.importance[self.places.of_interest].mean()) * self.voxel_mm3
        return difference, dvh_error(dose_gy, self.reference_gy, [(is_target, points) for is_target, points in structures if len(points)], of_a_point)


def load_scene(path: Path) -> Scene:
    """The case of a `pt_*.npz` with its reference dose."""
    case, reference = read_case(path), read_reference(path)
    region = planning_region(case)
    return scene_of(region, trace_beams(case, region), onto_region(reference.dose_gy, case, region))


def scene_of(region: PlanningRegion, traced: TracedBeams, reference_gy: NDArray[np.float32]) -> Scene:
    """The scene of a traced case whose reference dose is `reference_gy` (z, y, x); its first fluence is the even one that the prior begins with."""
    places = plan_places(region)
    chosen, importance = sampled_points(region.places, places.of_interest.numpy(), SAMPLED_POINTS, SAMPLED_REST)
    in_target = places.in_target
    even = torch.ones(int(traced.beams.open_beamlets.sum()))
    unit = float(places.prescription_gy[in_target].mean() / traced.beams.dose(traced.beams.to_maps(even))[in_target].mean())
    return Scene(
        traced.beams.at(chosen),
        places.at(chosen),
        case_features(region, places),
        importance,
        torch.from_numpy(reference_gy[region.body])[chosen],
        region.grid.voxel_volume_mm3,
        unit,
        even,
    )


def planned(scene: Scene, objective: PlanObjective, iterations: int) -> Tensor:
    """The fluence (n,), relative to the scene's unit, after so many iterations from its last."""
    weights = float(objective.smoothness), float(objective.simplicity)
    start = scene.fluence * scene.unit
    found = optimise_fluence(scene.beams, scene.goals(objective), start, iterations, weights[0], simplicity=weights[1], unit=scene.unit)
    return found / scene.unit


def error_and_gradient(scene: Scene, parameters: Parameters) -> tuple[tuple[float, float], dict[str, NDArray[np.float32]]]:
    """The scene's errors in Gy, of dose and DVHs, with its next plan, and the gradient of their weighted sum by the parameters."""
    parameters = {name: values.detach().requires_grad_() for name, values in parameters.items()}
    with torch.no_grad():
        fixed = assembled(parameters).at(scene.features)
    scene.fluence, scene.is_planned = planned(scene, fixed, MORE_ITERATIONS if scene.is_planned else fixed.iterations), True
    objective = assembled(parameters).at(scene.features)
    goals = scene.goals(objective)
    fluence = scene.fluence.clone().requires_grad_()
    dose = scene.dose(fluence)
    of_dose, of_dvhs = scene.errors(dose)
    (slope,) = torch.autograd.grad(of_dose + DVH_WEIGHT * of_dvhs, fluence)

    dose = dose.detach().requires_grad_()
    (worth,) = torch.autograd.grad(goals.cost(dose), dose, create_graph=True)
    (bend,) = torch.autograd.grad(worth.sum(), dose, retain_graph=True)
    (rough,) = torch.autograd.grad(scene.fluence_cost(fluence, objective), fluence, create_graph=True)
    is_open = scene.fluence > OPEN

    def hessian(direction: Tensor) -> Tensor:
        (of_fluence,) = torch.autograd.grad(rough, fluence, direction, retain_graph=True)
        return (scene.adjoint(bend * scene.dose(direction)) + of_fluence).detach() * is_open

    answer = solved(hessian, slope * is_open)
    stationary = (worth * scene.dose(answer).detach()).sum() + (rough * answer).sum()
    gradients = torch.autograd.grad(-stationary, list(parameters.values()), allow_unused=True, materialize_grads=True)
    return (of_dose.item(), of_dvhs.item()), {name: gradient.numpy() for name, gradient in zip(parameters, gradients, strict=True)}


def solved(matrix: Callable[[Tensor], Tensor], wanted: Tensor) -> Tensor:
    """About the x (n,) that the symmetric `matrix` makes `wanted`, by conjugate gradients: damped and cut short, as it may be ill-conditioned."""
    x, left = torch.zeros_like(wanted), wanted.clone()
    direction, square = left.clone(), left @ left
    enough, damping = 1e-4 * square, 0.0
    for step in range(SOLVER_STEPS):
        if square <= enough:
            break
        product = matrix(direction)
        if step == 0:
            damping = DAMPING * float(direction @ product / square)
        product = product + damping * direction
        length = square / (direction @ product)
        x, left = x + length * direction, left - length * product
        square, before = left @ left, square
        direction = left + square / before * direction
    return x


def parameters_of(learnt: LearntObjective) -> Parameters:
    """Everything that is learnt, by name: logarithms and logits of usual values, and the answers."""
    found: Parameters = {}
    for name, fitted in _all_numbers(learnt).items():
        found[name] = torch.logit(fitted.usual) if fitted.is_share else fitted.usual.log()
        if name.split()[0] not in ALIKE:
            found[name + ANSWERS] = fitted.answers.clone()
    return found


def assembled(parameters: Parameters) -> LearntObjective:
    """The objective of these parameters."""

    def fitted(name: str, answers_as: str | None = None) -> Fitted:
        is_share = name in SHARES
        usual = parameters[name]
        return Fitted(torch.sigmoid(usual) if is_share else usual.exp(), parameters[(answers_as or name) + ANSWERS], is_share)

    template = learnt_objective()
    return LearntObjective(
        {name: fitted(name) for name in template.numbers},
        {organ: {part: fitted(f"{organ} {part}", f"{ALIKE.get(organ, organ)} {part}") for part in parts} for organ, parts in template.organs.items()},
        template.other_organ,
    )


def _all_numbers(learnt: LearntObjective) -> dict[str, Fitted]:
    of_organs = {f"{organ} {part}": fitted for organ, parts in learnt.organs.items() for part, fitted in parts.items()}
    return {**learnt.numbers, **of_organs}


_scenes: dict[Path, Scene] = {}  # of a worker, which always has the same cases


def _load(paths: Sequence[Path]) -> None:
    torch.set_num_threads(1)
    _scenes.update((path, load_scene(path)) for path in paths)


def _answer(parameters: Parameters, paths: Sequence[Path]) -> list[tuple[tuple[float, float], dict[str, NDArray[np.float32]]]]:
    return [error_and_gradient(_scenes[path], parameters) for path in paths]


def _errors(parameters: Parameters, paths: Sequence[Path]) -> list[tuple[float, float]]:
    return [errors_of_a_new_plan(_scenes[path], parameters) for path in paths]


def errors_of_a_new_plan(scene: Scene, parameters: Parameters) -> tuple[float, float]:
    """The errors in Gy, of dose and DVHs, of a plan that begins as the prior does."""
    objective = assembled(parameters).at(scene.features)
    again = replace(scene, fluence=torch.ones_like(scene.fluence))
    of_dose, of_dvhs = scene.errors(scene.dose(planned(again, objective, objective.iterations)))
    return of_dose.item(), of_dvhs.item()


class Descent:
    """Learning on all cases, each of which stays with one worker."""

    def __init__(self, paths: Sequence[Path], start: LearntObjective, workers: int, held_out: int = HELD_OUT) -> None:
        self.held_out = paths[::held_out] if held_out else []
        self.learnt_from = [path for path in paths if path not in self.held_out] or list(paths)
        self.parameters = parameters_of(start)
        groups = [{"params": [values], "furthest": _furthest(name)} for name, values in self.parameters.items()]
        self.optimiser = torch.optim.Adam(groups, betas=(0.8, 0.95))
        self.shares = [paths[number::workers] for number in range(workers)]
        spawn = multiprocessing.get_context("spawn")
        self.workers = [ProcessPoolExecutor(1, spawn) for _ in self.shares]
        for loading in [worker.submit(_load, share) for worker, share in zip(self.workers, self.shares, strict=True)]:
            loading.result()  # a case that cannot be read is told of
        self.generator = np.random.default_rng(0)
        self.waiting: list[Path] = []

    def step(self, pace: float) -> tuple[float, float]:
        """A step of so much of the full length; returns the mean errors of its cases before it, of dose and DVHs."""
        chosen: list[Path] = []
        while len(chosen) < min(CASES_A_STEP, len(self.learnt_from)):
            if not self.waiting:
                self.waiting = [self.learnt_from[number] for number in self.generator.permutation(len(self.learnt_from))]
            chosen.append(self.waiting.pop())
        answers = self._asked(_answer, chosen)
        for name, values in self.parameters.items():
            slopes = np.stack([gradients[name] for _, gradients in answers])
            most = np.percentile(np.abs(slopes), 95, axis=0)  # no case rules alone
            values.grad = torch.from_numpy(np.clip(slopes, -most, most).mean(0).astype(np.float32))
        for group in self.optimiser.param_groups:
            group["lr"] = pace * group["furthest"]
        self.optimiser.step()
        for name, values in self.parameters.items():
            if name.endswith(ANSWERS):
                values *= 1 - pace * SHRINKING
        return _means(errors for errors, _ in answers)

    def show_held_out(self) -> None:
        if self.held_out:
            print("held out: {:.3f} Gy, DVHs {:.3f} Gy".format(*_means(self._asked(_errors, self.held_out))), flush=True)

    def _asked(self, question: Callable[[Parameters, list[Path]], list[Answer]], paths: Sequence[Path]) -> list[Answer]:
        """What the workers answer for each of the cases."""
        shares = [[path for path in paths if path in share] for share in self.shares]
        asked = [worker.submit(question, self.parameters, share) for worker, share in zip(self.workers, shares, strict=True)]
        return [answer for future in asked for answer in future.result()]


def _furthest(name: str) -> float:
    base = name.removesuffix(ANSWERS)
    return STEP * SHORT_STEPS.get(base.split()[-1], 1.0) * (1.0 if base == name else ANSWERS_STEP)


def _means(errors: Iterable[tuple[float, float]]) -> tuple[float, float]:
    of_dose, of_dvhs = np.mean(list(errors), axis=0).tolist()
    return of_dose, of_dvhs


def learn(paths: Sequence[Path], output: Path, minutes: float, workers: int, start: LearntObjective, held_out: int = HELD_OUT) -> None:
    """Learn from the cases of `paths`, from `start` on, and print errors; what is learnt is written to `output` now and then and at the end."""
    descent = Descent(paths, start, workers, held_out)
    descent.show_held_out()
    begin, steps, done = time.monotonic(), 0, 0.0
    while done < 1:
        pace = min(1.0, (steps + 1) / WARM_UP) * 0.5 * (1 - math.cos(math.pi * min(1.0, 2 * (1 - done))))
        errors = descent.step(pace)
        steps, done = steps + 1, (time.monotonic() - begin) / (60 * minutes)
        print("step {}: {:.3f} Gy, DVHs {:.3f} Gy".format(steps, *errors), flush=True)
        if steps % SHOW_EVERY == 0 or done >= 1:
            descent.show_held_out()
            save_objective(assembled(descent.parameters), output)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Learn the quick plan's objective from reference plans.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="training cases of OpenKBP; not those that scores are reported of")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="where what is learnt goes, as JSON")
    parser.add_argument("--start", type=Path, default=FILE, metavar="FILE", help="what to begin with (default: what the product has)")
    parser.add_argument("--minutes", type=positive_number, default=60.0, metavar="N", help="how long, besides loading (default 60)")
    parser.add_argument(
        "--held-out", type=count, default=HELD_OUT, metavar="N", help=f"one case in N is not learnt from (default {HELD_OUT}); 0: all are learnt from"
    )
    parser.add_argument("--processes", type=positive_count, default=1, metavar="N", help="cases planned at a time (default 1)")
    options = parser.parse_args(arguments)
    paths = find_cases(options.data)
    if not paths:
        raise CaseError(f"No OpenKBP case in {options.data}; give the folder that holds the training cases.")
    learn(paths, options.output, options.minutes, options.processes, learnt_objective(options.start), options.held_out)
    return 0


if __name__ == "__main__":
    run_tool(main)
