"""Everything that decides a training but its data and the network's sizes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """Shares are of the training steps, 0 to 1; each draw of a step is made by its own seed."""

    steps: int = 14_500
    priors: int = 2  # variants of the physics prior that each case is seen with
    cases_per_step: int = 1  # over all processes together
    autoencoder_steps: int = 500
    learning_rate: float = 1e-3
    autoencoder_learning_rate: float = 2e-3
    weight_decay: float = 5e-2
    warm_up: int = 200
    decay_fraction: float = 0.3
    average_decay: float = 0.999
    planner_step_share: float = 0.5  # of the beam planner; the shares below are of the steps that are the denoiser's
    rounds_weight: float = 0.6  # of the mean error of the doses of the planner's rounds
    swapped_share: float = 0.4  # of the planner's steps, with left and front exchanged or one of them turned round
    upended_share: float = 0.2  # of the planner's steps, with head and feet exchanged
    planner_posed_share: float = 0.6  # of the planner's steps, with what it sees of the volume turned a little, stretched and shifted
    start_noise: float = 0.15  # by which factors, as e to the power of it, beams and beamlets of the planner's start are off
    expected_share: float = 0.65  # at the infinite noise level
    goal_share: float = 0.25  # with some of the plan's own doses as goals
    posed_share: float = 0.75  # with the case turned, zoomed and shifted
    simulated_share: float = 0.25  # on simulated plans, where there are any
    dvh_weight: float = 0.5
    noise_weight: float = 0.6
    validate_every: int = 500
    checkpoint_every: int = 250
    seed: int = 0
