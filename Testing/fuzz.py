"""Damaged files, thousands of them: each must end in a clear error or in what the file really holds, within 10 seconds and a gigabyte.

    python Testing/fuzz.py --count 20000 --seed 0
    python Testing/fuzz.py --seed 0 --show 1234 --keep damaged/

Small files of every format that is read are damaged at random: cut off, bits flipped, parts taken out, doubled or exchanged, elements of DICOM given
another type, length, tag or value, numbers and lines of text altered.  Each is read in a process that has a gigabyte of address space and 10 seconds.

* refused: an error of this package, with its sentence;
* read with a note: a CaseWarning says what is doubtful;
* read as it is: the result agrees with a second, independent decoding of the damaged file (`fuzzing/plain_reading.py`).

Anything else is a finding: another exception, a process that dies or is not done in time, a result that is not in the file.  Input N of a seed is
always the same.  The program exits with 1 if there are findings.  Linux and macOS only (limits of processes).
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from dose_prediction.report import text_table
from fuzzing.formats import FORMATS, intact_files
from fuzzing.worker import MOST_SECONDS, READ, REFUSED, TOLD, Outcome, format_of, work

# A process that waits without computing is ended after this; on a busy computer ten seconds of computing may take a minute.
PATIENCE_S = 120


class Worker:
    """A process that reads inputs, made anew when it dies."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._start()

    def outcome(self, number: int) -> Outcome:
        self.connection.send(number)
        try:
            if self.connection.poll(PATIENCE_S):
                found: Outcome = self.connection.recv()
                return found
            reason = f"no answer within {PATIENCE_S} s"
        except EOFError:
            self.process.join()
            code = self.process.exitcode
            reason = f"more than {MOST_SECONDS} s of computing" if code == -24 else f"the process died with {code}"
        self.process.kill()
        self.process.join()
        self._start()
        return Outcome(format_of(number, self.seed)[0].name, "failed", reason)

    def close(self) -> None:
        self.connection.send(None)
        self.process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=work, args=(theirs, self.seed))
        self.process.start()
        theirs.close()


def campaign(count: int, seed: int) -> Iterator[tuple[int, Outcome]]:
    """The outcome of every input from 0."""
    worker = Worker(seed)
    for number in range(count):
        yield number, worker.outcome(number)
    worker.close()


def show(number: int, seed: int, folder: Path) -> None:
    """Write one input and the files beside it into `folder`."""
    kind, rng = format_of(number, seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in intact_files(kind).items():
        (folder / name).write_bytes(kind.damage(content, rng) if name == kind.altered else content)
    print(f"Input {number} of seed {seed}: {kind.name}, {folder / kind.altered}")


def main() -> int:
    """Run the campaign and print its table, or show one input."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=20000, help="how many inputs (default 20000)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--show", type=int, metavar="N", help="write input N into the folder --keep instead of running")
    options.add_argument("--keep", type=Path, default=Path("damaged"), metavar="DIR")
    given = options.parse_args()
    if given.show is not None:
        show(given.show, given.seed, given.keep)
        return 0
    started = time.perf_counter()
    counts: dict[str, Counter[str]] = {kind.name: Counter() for kind in FORMATS}
    findings = 0
    for number, outcome in campaign(given.count, given.seed):
        counts[outcome.format_name][outcome.kind] += 1
        if outcome.finding:
            findings += 1
            print(f"Input {number}, {outcome.format_name}: {outcome.finding}", flush=True)
    columns = (REFUSED, TOLD, READ, "failed")
    rows = [[name, *(str(count[column]) for column in columns), str(count.total())] for name, count in counts.items()]
    rows.append(["all", *(str(sum(count[column] for count in counts.values())) for column in columns), str(given.count)])
    print(text_table(["Format", *columns, "inputs"], rows))
    print(f"\nSeed {given.seed}, {time.perf_counter() - started:.0f} s, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
