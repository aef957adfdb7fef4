"""A worker that speaks the protocol of `dose_prediction.worker` and computes nothing: what it does is chosen by the seed.

0 answers with the prescription inside the targets; 1 dies while it predicts; 2 hears no cancel; 3 sends an error; 4 waits until it is cancelled.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from queue import Queue

import numpy as np

from dose_prediction.case_files import read_case

DIES, IS_DEAF, COMPLAINS, WAITS = 1, 2, 3, 4


def say(event: str, **content: object) -> None:
    print(json.dumps({"event": event, **content}), flush=True)


def listen(commands: Queue) -> None:
    for line in sys.stdin:
        commands.put(json.loads(line))
    commands.put({"command": "quit"})


def predict(command: dict, commands: Queue) -> None:
    seed = command["seed"]
    say("progress", stage="Preparing the case", fraction=0.1)
    case = read_case(command["case"])
    say("progress", stage="Predicting the dose", fraction=0.5)
    if seed == DIES:
        print("out of luck", file=sys.stderr, flush=True)
        os._exit(3)
    if seed == IS_DEAF:
        time.sleep(60)
    if seed == COMPLAINS:
        say("error", message="The model file is damaged; install the extension again.")
        return
    if seed == WAITS:
        while commands.get()["command"] != "cancel":
            pass
        say("cancelled")
        return
    dose = np.zeros(case.grid.shape, dtype=np.float32)
    for target in reversed(case.targets):
        dose[target.mask] = target.role.prescription_gy
    output = Path(command["output"])
    output.mkdir(parents=True)
    np.save(output / "dose.npy", dose)
    say(
        "result",
        dose=str(output / "dose.npy"),
        prior=None,
        spread=None,
        provenance={"model_version": "none", "device": "cpu", "seed": seed, "process": os.getpid()},
    )


def main() -> None:
    commands: Queue = Queue()
    threading.Thread(target=listen, args=(commands,), daemon=True).start()
    say("ready")
    while (command := commands.get())["command"] != "quit":
        if command["command"] == "predict":
            predict(command, commands)


if __name__ == "__main__":
    main()
