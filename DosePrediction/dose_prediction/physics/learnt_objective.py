"""The quick plan's objective as learnt from reference plans, and how it follows the case.

No one set of numbers suits all patients: how large the targets are, or how much of a parotid lies in them, decides what a planner asks.  So every
number of `PlanObjective` has a usual value, which is changed by what the case is like: its logarithm (for the fall-off curve: its logit) is a
linear function of a few features.  `training.tune_objective` finds all of it, and writes the file that is read here.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dose_prediction.output_files import whole_file
from dose_prediction.physics.plan_objective import OrganObjective, PlanObjective, PlanPlaces, Spared
from dose_prediction.region import PlanningRegion

FILE = Path(__file__).parent / "data" / "learnt_objective.json"
FARTHEST = 1.5  # features are no farther than this from 0, which is about usual
USUAL_CC = {"highest": 150.0, "middle": 100.0, "lowest": 200.0, "all": 400.0}  # of targets
USUAL_LITRES = 8.0  # of the body near the targets
USUAL_LENGTH_MM = 170.0  # of the targets along the patient
USUAL_PIXEL_MM = 4.0
MIDDLE, LOWEST = 0.95, 0.85  # of the highest prescription: targets below these are called so
OPTIONAL_ORGANS = ("Larynx", "Esophagus", "Bone_Mandible", "Brainstem")  # that not all planners contour
HEAD_AND_NECK = {"Brainstem", "Parotid_L", "Parotid_R", "Larynx", "Bone_Mandible"}
USUAL_ORGAN_CC = {
    "SpinalCord": 20.0,
    "Brainstem": 25.0,
    "Parotid_L": 30.0,
    "Parotid_R": 30.0,
    "Larynx": 25.0,
    "Esophagus": 15.0,
    "Bone_Mandible": 70.0,
}
OTHER_ORGAN_CC = 150.0
CASE_FEATURES = (
    *("body", "highest", "lowest", "has middle", "pixel", "all targets", "middle", "has lowest", "length"),
    *(f"has {organ}" for organ in OPTIONAL_ORGANS),
    "to the side",
)
ORGAN_FEATURES = ("size", "in targets", "within 10 mm of targets", "distance")
NEAR_MM = 10.0
SCALARS = ("smoothness", "simplicity", "relative_level", "peaks")
SHARES = ("curve",)  # numbers between 0 and 1


@dataclass(frozen=True, eq=False)
class Fitted:
    """Numbers (k,) of the objective: their usual values and how they answer to features (k, features)."""

    usual: Tensor
    answers: Tensor
    is_share: bool = False  # between 0 and 1

    def at(self, features: Tensor) -> Tensor:
        """The numbers (k,) for a case of these features."""
        change = self.answers @ features
        return torch.sigmoid(torch.logit(self.usual) + change) if self.is_share else self.usual * change.exp()


@dataclass(frozen=True, eq=False)
class CaseFeatures:
    """What a case is like (features,), and what each of its structures that are to be spared is like (features,), by name."""

    case: Tensor
    organs: Mapping[str, Tensor]

    def of_organ(self, name: str) -> Tensor:
        return torch.cat([self.case, self.organs.get(name, torch.zeros(len(ORGAN_FEATURES)))])


@dataclass(frozen=True, eq=False)
class LearntObjective:
    """The numbers of `PlanObjective` by the names of its fields, and those of organs by the organs' names."""

    numbers: Mapping[str, Fitted]
    organs: Mapping[str, Mapping[str, Fitted]]
    other_organ: OrganObjective

    def at(self, features: CaseFeatures) -> PlanObjective:
        """The objective for a case of these features."""
        organs = tuple((name, OrganObjective(**_values(parts, features.of_organ(name)))) for name, parts in self.organs.items())
        return PlanObjective(**_values(self.numbers, features.case), organs=organs, other_organ=self.other_organ)


def _values(numbers: Mapping[str, Fitted], features: Tensor) -> dict[str, Any]:
    found = {name: fitted.at(features) for name, fitted in numbers.items()}
    return {name: values[0] if name in SCALARS else values for name, values in found.items()}


def usual_objective() -> PlanObjective:
    """The learnt objective for a case that is as usual in every feature."""
    return learnt_objective().at(CaseFeatures(torch.zeros(len(CASE_FEATURES)), {}))


def objective_for(region: PlanningRegion, places: PlanPlaces) -> PlanObjective:
    """The learnt objective for a case; `places` are all voxels of its body."""
    return learnt_objective().at(case_features(region, places))


@functools.cache
def learnt_objective(file: Path = FILE) -> LearntObjective:
    stored = json.loads(file.read_text(encoding="utf-8"))

    def fitted(name: str, of: Mapping[str, Any]) -> Fitted:
        return Fitted(torch.tensor(of["usual"]), torch.tensor(of["answers"]), is_share=name in SHARES)

    return LearntObjective(
        {name: fitted(name, of) for name, of in stored["numbers"].items()},
        {organ: {name: fitted(name, of) for name, of in parts.items()} for organ, parts in stored["organs"].items()},
        OrganObjective(**stored["other_organ"]),
    )


def save_objective(learnt: LearntObjective, file: Path) -> None:
    """Write what `learnt_objective` reads."""

    def stored(fitted: Fitted) -> dict[str, Any]:
        return {
            "usual": [float(f"{value:.5g}") for value in fitted.usual.tolist()],
            "answers": [[round(value, 4) for value in row] for row in fitted.answers.tolist()],
        }

    content = {
        "about": "What reference plans of OpenKBP strive for; see physics/learnt_objective.py.",
        "case_features": CASE_FEATURES,
        "organ_features": ORGAN_FEATURES,
        "numbers": {name: stored(fitted) for name, fitted in learnt.numbers.items()},
        "organs": {organ: {name: stored(fitted) for name, fitted in parts.items()} for organ, parts in learnt.organs.items()},
        "other_organ": asdict(learnt.other_organ),
    }
    one_row_a_line = re.sub(r"\[[^\[\]]*\]", lambda row: " ".join(row[0].split()), json.dumps(content, indent=1))
    with whole_file(file) as unfinished:
        unfinished.write_bytes((one_row_a_line + "\n").encode())


def case_features(region: PlanningRegion, places: PlanPlaces) -> CaseFeatures:
    """What a case is like; `places` are all voxels of its body.

    A case without an organ of the head and neck is of another site, of which nothing has been learnt: it counts as usual.
    """
    organs = {structure.name: _organ_features(structure, places, region) for structure in places.spared}
    if not HEAD_AND_NECK & organs.keys():
        return CaseFeatures(torch.zeros(len(CASE_FEATURES)), {})
    highest = max(prescription for prescription, _, _ in places.targets)
    volumes = dict.fromkeys(USUAL_CC, 0.0)
    for prescription, voxels, _ in places.targets:
        rank = "lowest" if prescription < LOWEST * highest else "middle" if prescription < MIDDLE * highest else "highest"
        for name in (rank, "all"):
            volumes[name] += voxels * region.grid.voxel_volume_mm3 / 1000
    size = {name: math.log(cc / USUAL_CC[name]) if cc else 0.0 for name, cc in volumes.items()}
    z, _, x = np.argwhere(region.body).T
    in_target = places.in_target.numpy()
    x_mm, _, z_mm = region.grid.spacing_mm
    values = {
        "body": math.log(len(z) * region.grid.voxel_volume_mm3 / 1e6 / USUAL_LITRES),
        "highest": size["highest"],
        "middle": size["middle"],
        "lowest": size["lowest"],
        "all targets": size["all"],
        "has middle": 0.5 if volumes["middle"] else -0.5,
        "has lowest": 0.5 if volumes["lowest"] else -0.5,
        "pixel": 4 * math.log(x_mm / USUAL_PIXEL_MM),
        "length": 2 * math.log((z[in_target].max() - z[in_target].min() + 1) * z_mm / USUAL_LENGTH_MM),
        "to the side": abs(x[in_target].mean() - x.mean()) * x_mm / 15 - 1,
        **{f"has {organ}": 0.5 if organ in organs else -0.5 for organ in OPTIONAL_ORGANS},
    }
    return CaseFeatures(_bounded([values[name] for name in CASE_FEATURES]), organs)


def _organ_features(structure: Spared, places: PlanPlaces, region: PlanningRegion) -> Tensor:
    cc = structure.voxels * region.grid.voxel_volume_mm3 / 1000
    outside = int(structure.members.sum())
    distance = places.distance_mm[structure.members]
    in_targets = structure.voxels - outside
    return _bounded(
        [
            math.log(cc / USUAL_ORGAN_CC.get(structure.name, OTHER_ORGAN_CC)) / 1.5,
            3 * in_targets / structure.voxels - 0.5,
            2 * (in_targets + int((distance <= NEAR_MM).sum())) / structure.voxels - 1,
            float(distance.sum()) / structure.voxels / 20 - 1,
        ]
    )


def _bounded(features: list[float]) -> Tensor:
    return torch.tensor(features, dtype=torch.float32).clamp(-FARTHEST, FARTHEST)
