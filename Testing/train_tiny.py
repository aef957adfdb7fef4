"""Train a tiny network on the cases of a folder; what `torchrun` starts in a test: train_tiny.py DATA OUTPUT SETTINGS (JSON)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from dose_prediction.training.loop import train
from dose_prediction.training.settings import TrainingSettings

sys.path.insert(0, str(Path(__file__).parent))

from tiny_model import TINY

if __name__ == "__main__":
    torch.set_num_threads(1)
    data, output = map(Path, sys.argv[1:3])
    train(data / "train", output, validation=data / "validation", settings=TrainingSettings(**json.loads(sys.argv[3])), config=TINY)
