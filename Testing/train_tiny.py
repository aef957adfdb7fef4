"""Train a tiny network on the cases of a folder; what `torchrun` starts in a test: train_tiny.py DATA OUTPUT SETTINGS (JSON) INTERRUPTED_AT.

The training is interrupted at its INTERRUPTED_AT-th case (of this process); where that is 0, it resumes one that was.
"""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from dose_prediction.training.loop import train
from dose_prediction.training.settings import TrainingSettings
from dose_prediction.training.training_step import TrainingStep

sys.path.insert(0, str(Path(__file__).parent))

from tiny_model import TINY

if __name__ == "__main__":
    torch.set_num_threads(1)
    data, output = map(Path, sys.argv[1:3])
    settings, interrupted_at = TrainingSettings(**json.loads(sys.argv[3])), int(sys.argv[4])
    cases, honest = count(1), TrainingStep.forward

    def interrupted(*arguments: Any) -> dict[str, torch.Tensor]:
        if next(cases) == interrupted_at:
            raise KeyboardInterrupt
        return honest(*arguments)

    with patch.object(TrainingStep, "forward", interrupted):
        try:
            train(data / "train", output, resume=not interrupted_at, validation=data / "validation", settings=settings, config=TINY)
        except KeyboardInterrupt:
            print("Interrupted.")
