"""The process that reads damaged files, held to a gigabyte of address space and ten seconds of computing an input."""

from __future__ import annotations

import random
import resource
import tempfile
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from dose_prediction.error_sentences import is_deliberate
from fuzzing.formats import FORMATS, Format, intact_files

MOST_BYTES = 2**30
MOST_SECONDS = 10

REFUSED, TOLD, READ = "refused", "read with a note", "read as it is"


@dataclass(frozen=True)
class Outcome:
    """What became of one input: `finding` is empty, or says what should not have happened."""

    format_name: str
    kind: str
    finding: str = ""


def format_of(number: int, seed: int) -> tuple[Format, random.Random]:
    """The format of input `number` of a campaign, and the generator that damages it."""
    rng = random.Random(f"{seed} {number}")
    return rng.choices(FORMATS, [one.share for one in FORMATS])[0], rng


def work(connection: Connection, seed: int) -> None:
    """Answer every number that comes through `connection` with its Outcome, until None comes."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as scratch:
        folders: dict[str, tuple[Path, dict[str, bytes]]] = {}
        while (number := connection.recv()) is not None:
            used = resource.getrusage(resource.RUSAGE_SELF)
            limit = int(used.ru_utime + used.ru_stime) + MOST_SECONDS + 1
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))  # the kernel ends a process that computes on and on
            connection.send(_outcome(number, seed, Path(scratch), folders))


def _outcome(number: int, seed: int, scratch: Path, folders: dict[str, tuple[Path, dict[str, bytes]]]) -> Outcome:
    kind, rng = format_of(number, seed)
    if kind.name not in folders:
        folder = scratch / f"format {len(folders)}"
        folder.mkdir()
        kind.write(folder)
        folders[kind.name] = folder, intact_files(kind)
    folder, intact = folders[kind.name]
    altered = folder / kind.altered
    altered.write_bytes(kind.damage(intact[kind.altered], rng))
    try:
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            found = kind.read(folder)
        if notes:
            return Outcome(kind.name, TOLD)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what pydicom remarks in the second reading
            kind.check(found, folder)
        return Outcome(kind.name, READ)
    except Exception as error:
        if is_deliberate(error):
            return Outcome(kind.name, REFUSED, "" if str(error).strip() else "refused without a word")
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Outcome(kind.name, "failed", f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:200]}")
