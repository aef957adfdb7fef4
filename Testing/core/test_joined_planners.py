"""A model with the beam planners of two trainings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dose_prediction.case import CaseError
from dose_prediction.model.bundle import Bundle
from dose_prediction.model.network import ADDiffDose
from dose_prediction.training.release import joined
from tiny_model import TINY, tiny_bundle


def trained(seed: int, steps: int, hours: float) -> Bundle:
    bundle = tiny_bundle(seed)
    return replace(bundle, card={**bundle.card, "steps": steps, "hours": hours})


def test_a_joined_model_has_the_planners_of_both_and_the_rest_of_the_first() -> None:
    one, other = trained(1, 300, 1.25), trained(2, 40, 0.5)
    both = joined(one, other)
    assert both.network.config == replace(TINY, planner_rounds=(1, 1))
    parts = [both.network.planners[0], both.network.planners[1], both.network.denoiser, both.network.condition_encoder, both.network.autoencoder]
    wanted = [one.network.planners[0], other.network.planners[0], one.network.denoiser, one.network.condition_encoder, one.network.autoencoder]
    for part, like in zip(parts, wanted, strict=True):
        state, expected = part.state_dict(), like.state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in expected)
    assert both.card["steps"] == 340
    assert both.card["hours"] == 1.75
    assert both.version.endswith("+340")


def test_joining_again_adds_to_what_is_there() -> None:
    three = joined(joined(trained(1, 1, 0.0), trained(2, 1, 0.0)), trained(3, 1, 0.0))
    assert three.network.config.planner_rounds == (1, 1, 1)
    assert torch.equal(three.network.planners[2].stem.weight, trained(3, 1, 0.0).network.planners[0].stem.weight)


def test_planners_of_other_widths_are_refused() -> None:
    wide = Bundle(ADDiffDose(replace(TINY, planner_volume_widths=(16, 8, 8))), trained(1, 1, 0.0).card)
    with pytest.raises(CaseError, match="have other widths than those of test; train them with the same"):
        joined(trained(1, 1, 0.0), wide)
