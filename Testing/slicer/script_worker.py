"""A worker that speaks the protocol of `dose_prediction.worker` and computes nothing: what it does is chosen by the seed.

0 answers with the prescription inside the targets; 1 dies while it predicts; 2 hears no cancel; 3 sends an error; 4 waits until it is cancelled.
From 10 on it kills itself as a full memory would: before its first word of progress, while it reads the case, while it writes, after its answer; with
`--dies-at-start` before it says that it is ready.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from queue import Queue

import numpy as np

from dose_prediction.case_files import read_case

DIES, IS_DEAF, COMPLAINS, WAITS = 1, 2, 3, 4
KILLED_AT = {10: "asked", 11: "reading", 12: "writing", 13: "answered"}


def say(event: str, **content: object) -> None:
    print(json.dumps({"event": event, **content}), flush=True)


def listen(commands: Queue) -> None:
    for line in sys.stdin:
        commands.put(json.loads(line))
    commands.put({"command": "quit"})


def reach(stage: str, seed: int) -> None:
    if KILLED_AT.get(seed) == stage:
        os.kill(os.getpid(), signal.SIGKILL)


def predict(command: dict, commands: Queue) -> None:
    seed = command["seed"]
    reach("asked", seed)
    say("progress", stage="Preparing the case", fraction=0.1)
    reach("reading", seed)
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
    if KILLED_AT.get(seed) == "writing":
        (output / "dose.npy").write_bytes(b"half a dose")
    reach("writing", seed)
    np.save(output / "dose.npy", dose)
    say(
        "result",
        dose=str(output / "dose.npy"),
        prior=None,
        spread=None,
        provenance={"model_version": "none", "device": "cpu", "seed": seed, "process": os.getpid()},
    )
    reach("answered", seed)


def main() -> None:
    if "--dies-at-start" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    commands: Queue = Queue()
    threading.Thread(target=listen, args=(commands,), daemon=True).start()
    say("ready")
    while (command := commands.get())["command"] != "quit":
        if command["command"] == "predict":
            predict(command, commands)


if __name__ == "__main__":
    main()
