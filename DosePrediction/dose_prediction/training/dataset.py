"""Training cases, prepared once: region, physics prior and channels of every OpenKBP case, cached as one file a case.

Preparing goes through the same functions as a prediction, so that the network meets in use what it was trained on.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from dose_prediction import openkbp
from dose_prediction.case import Arc, Beam, CaseError
from dose_prediction.cohort import run_each
from dose_prediction.model.beam_planner import BeamScene, beam_scene
from dose_prediction.model.condition import CHANNELS, DOSE_SCALE_GY, FIRST_ORGAN, ORGANS, plan_tokens, volume_channels
from dose_prediction.model.diffusion import RESIDUAL_SCALE_GY
from dose_prediction.output_files import whole_file
from dose_prediction.physics.learnt_objective import objective_for
from dose_prediction.physics.pencil_beam import PencilBeams
from dose_prediction.physics.plan_objective import Numbers, OrganObjective, PlanObjective, as_tensor, plan_places
from dose_prediction.physics.prior import PhysicsPrior, TracedBeams, physics_prior, trace_beams
from dose_prediction.region import PlanningRegion, onto_region, planning_region

Job = tuple[Path, Path, int]  # the case, the file that is made of it and the number of the prior's variant
VARIED_BY = 0.4
_BEAMS = "beams_"  # begins the names of what is stored of the beams
_PLAIN = {"plane_shape", "margin", "upsampling"}  # numbers, not tensors
STORED = np.float16  # its rounding, at most 0.02 Gy in the prior, is far below what is learnt
PREPARED_BY = 8  # to be raised whenever a case is prepared otherwise: files of an older way are refused


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """One case as the loop uses it, on the grid of its region.

    `volumes` (channels, z, y, x) and `residual` (z, y, x), which is (reference - prior) / RESIDUAL_SCALE_GY inside the body and 0 outside, are
    float16; `tokens` (n, TOKEN_SIZE) float32; `voxel_mm3` the volume of a voxel.  `file` holds the beams as well, which not every step needs.
    """

    file: Path
    volumes: NDArray[np.float16]
    residual: NDArray[np.float16]
    tokens: NDArray[np.float32]
    voxel_mm3: float

    @property
    def name(self) -> str:
        return self.file.stem

    def scene(self) -> tuple[TracedBeams, BeamScene]:
        """The case's traced beams and what a planner is given of them, read from the file."""
        with np.load(self.file, allow_pickle=False) as stored:
            parts = {name: stored[_BEAMS + name] for name in (field.name for field in fields(PencilBeams))}
            start, directions = torch.from_numpy(stored[_BEAMS + "start"]), stored[_BEAMS + "directions"]
        beams = PencilBeams(
            **{name: torch.from_numpy(part) for name, part in parts.items() if name not in _PLAIN},
            plane_shape=(int(parts["plane_shape"][0]), int(parts["plane_shape"][1])),
            margin=int(parts["margin"]),
            upsampling=int(parts["upsampling"]),
        )
        traced = TracedBeams(beams, self.body, (1.0,) * len(directions), directions)
        prescription = self.volumes[CHANNELS.index("prescription")].astype(np.float32) * np.float32(DOSE_SCALE_GY)
        return traced, beam_scene(traced, prescription, start, self.voxel_mm3)

    @property
    def body(self) -> NDArray[np.bool_]:
        return self.volumes[CHANNELS.index("body")] > 0.5


def structures_in(volumes: torch.Tensor) -> list[tuple[bool, torch.Tensor]]:
    """Whether it is a target, and the flat voxel indices, of every structure in the channels (channels, z, y, x)."""
    prescription = volumes[CHANNELS.index("prescription")].flatten()
    found = [(True, (prescription == value).nonzero()[:, 0]) for value in prescription[prescription > 0].unique()]
    organs = [(False, (volumes[FIRST_ORGAN + i].flatten() > 0.5).nonzero()[:, 0]) for i in range(len(ORGANS))]
    return found + [(is_target, voxels) for is_target, voxels in organs if len(voxels)]


def prepare_cases(data: Path, cache: Path, variants: int = 1, workers: int | None = None, ray_address: str | None = None) -> list[Path]:
    """Prepare every `pt_*.npz` of `data` that is not in `cache` yet; returns the cached files in order of name.

    Of each case there are `variants`: first with the prior as a prediction has it, then with priors of other objectives, from which the network is
    to find the same reference.  On `workers` processes (as many as there are cores), or on the Ray cluster at `ray_address`.
    """
    sources = sorted(data.glob("pt_*.npz"))
    if not sources:
        raise CaseError(f"No pt_*.npz in {data}; give the folder that holds the training cases.")
    cache.mkdir(parents=True, exist_ok=True)
    jobs = [(source, cache / _prepared_name(source, number), number) for number in range(variants) for source in sources]
    make_each(_prepare, [job for job in jobs if not job[1].exists()], "Preparing cases", workers or os.cpu_count() or 1, ray_address)
    return [file for _, file, _ in jobs]


def make_each(make: Callable[[Job], object], jobs: Sequence[Job], name: str, workers: int, ray_address: str | None) -> None:
    """Make the file of every job.  A job that fails costs nothing of the others; CaseError names the first of them when all is done."""
    outcomes = run_each(make, jobs, processes=workers, ray_address=ray_address)
    failed = [outcome for outcome in tqdm(outcomes, total=len(jobs), desc=name, unit="case", disable=not jobs) if outcome.error]
    if failed:
        raise CaseError(
            f"{len(failed)} of {len(jobs)} cases failed, {failed[0].item[0].name} first: {failed[0].error} Mend it or take it away; the rest is kept."
        )


@dataclass(frozen=True)
class PreparedCases:
    """Prepared cases in files of 50 MB or so, each read when it is asked for, so that a cohort may be larger than the memory."""

    files: Sequence[Path]

    @property
    def names(self) -> set[str]:
        return {file.stem for file in self.files}

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[TrainingCase]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> TrainingCase:
        with np.load(self.files[index], allow_pickle=False) as stored:
            if "prepared_by" not in stored or stored["prepared_by"] != PREPARED_BY:
                raise CaseError(f"{self.files[index]} was prepared by an earlier version; remove it and it is prepared anew.")
            return TrainingCase(self.files[index], stored["volumes"], stored["residual"], stored["tokens"], float(stored["voxel_mm3"]))


def one_thread_in_a_worker() -> None:
    """Workers share the cores among themselves."""
    if parent_process() is not None:
        torch.set_num_threads(1)


def _prepare(job: Job) -> None:
    one_thread_in_a_worker()
    source, file, number = job
    case = openkbp.read_npz(source)
    reference = openkbp.read_reference(source)
    region = planning_region(case)
    traced = trace_beams(case, region)
    objective = objective_for(region, plan_places(region))
    if number:
        objective = varied_objective(objective, np.random.default_rng([zlib.crc32(source.stem.encode()), number]))
    prior = physics_prior(region, traced, objective)
    wanted = onto_region(reference.dose_gy, case, region)
    store_case(file, region, traced, prior, wanted, case.beams)


def _prepared_name(source: Path, number: int) -> str:
    return f"{source.stem}_prior_{number}.npz" if number else f"{source.stem}.npz"


def varied_objective(usual: PlanObjective, generator: np.random.Generator) -> PlanObjective:
    """A planner with other habits: the weights of an objective times log-normal factors."""

    def varied(weights: Numbers | float) -> Tensor:
        return as_tensor(weights) * float(np.exp(VARIED_BY * generator.standard_normal()))

    def of_organ(organ: OrganObjective) -> OrganObjective:
        return replace(organ, slopes=varied(organ.slopes), peaks=varied(organ.peaks))

    names = ("shortfall", "excess", "inner_slopes", "outer_slopes", "fall_off", "integral", "smoothness", "simplicity")
    costs: dict[str, Any] = {name: varied(getattr(usual, name)) for name in names}
    return replace(usual, **costs, organs=tuple((name, of_organ(organ)) for name, organ in usual.organs))


def store_case(
    file: Path, region: PlanningRegion, traced: TracedBeams, prior: PhysicsPrior, wanted_gy: NDArray[np.float32], beams: Sequence[Beam | Arc]
) -> None:
    """Write a `TrainingCase` that is to learn the dose `wanted_gy` (z, y, x) of the plan's beams, which weigh alike."""
    residual = np.where(region.body, (wanted_gy - prior.dose_gy) / RESIDUAL_SCALE_GY, 0)
    arrays: dict[str, Any] = {
        "volumes": volume_channels(region, prior).astype(STORED),
        "residual": residual.astype(STORED),
        "tokens": plan_tokens(region, beams),
        "voxel_mm3": np.float64(region.grid.voxel_volume_mm3),
        "prepared_by": np.int64(PREPARED_BY),
        _BEAMS + "start": prior.beamlets.numpy(),
        _BEAMS + "directions": traced.directions,
    }
    arrays |= {_BEAMS + name: np.asarray(value) for name, value in vars(traced.beams).items()}
    with whole_file(file) as unfinished:
        np.savez(unfinished, **arrays)
