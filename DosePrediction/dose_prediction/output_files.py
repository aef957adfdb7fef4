"""Files that are either whole or not there: each is written under a temporary name and renamed when it is complete.

Files that belong together are written into a hidden folder `.writing-…`.  A folder that is not there yet is that one renamed, so whoever looks sees
all of the files or none.  In a folder that is there already they are written beside their places: when all are complete, `.writing-…` is renamed to
`.complete-…`; from that moment the new files count, and they are moved to their places one after another.  A process that is killed before that
moment leaves the old files; killed after it, it leaves `.complete-…`, and whatever of this package next reads or writes there moves the rest
(`finish_interrupted`).  Other programs may see some old and some new files while they are moved.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_WRITING, _COMPLETE, _STALE = ".writing-", ".complete-", ".stale"


class OutputError(OSError):
    """A file or folder cannot be written.  The message names it and what to do about it."""


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`, with its file extension; renamed to `path` if the block ends well, removed if it does not.

    Raises OutputError if the folder cannot be written to or its disk is full.
    """
    path = Path(path)
    with _sentences(path.parent), tempfile.TemporaryDirectory(prefix=_WRITING, dir=path.parent, ignore_cleanup_errors=True) as scratch:
        unfinished = Path(scratch) / path.name
        yield unfinished
        os.replace(unfinished, path)


@contextmanager
def whole_folder(folder: Path | str, stale: Iterable[str] = ()) -> Iterator[Path]:
    """A temporary folder; what it holds comes to lie in `folder` if the block ends well, and vanishes if it does not.

    `stale` names files of an earlier set that go when the new set comes and does not hold them.  `folder` and its parents are made if they are not
    there, all at once with the files, and not if the block fails.  Raises OutputError as `whole_file` does.
    """
    folder = Path(folder)
    with _sentences(folder), _new_folder(folder) if not folder.exists() else _there_already(folder, stale) as scratch:
        yield scratch


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    made = _make(folder.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=_WRITING, dir=folder.parent, ignore_cleanup_errors=True) as scratch:
            unfinished = Path(scratch) / folder.name
            unfinished.mkdir()
            yield unfinished
            try:
                os.replace(unfinished, folder)
            except OSError:
                if not folder.is_dir():
                    raise
                with _there_already(folder, ()) as beside:  # another process has made it meanwhile
                    for file in unfinished.iterdir():
                        os.replace(file, beside / file.name)
    except BaseException:
        for parent in reversed(made):
            shutil.rmtree(parent, ignore_errors=True)
        raise


@contextmanager
def _there_already(folder: Path, stale: Iterable[str]) -> Iterator[Path]:
    finish_interrupted(folder)
    with tempfile.TemporaryDirectory(prefix=_WRITING, dir=folder, ignore_cleanup_errors=True) as scratch:
        yield Path(scratch)
        gone = sorted(set(stale) - {file.name for file in Path(scratch).iterdir()})
        (Path(scratch) / _STALE).write_text("\n".join(gone), encoding="utf-8")
        complete = folder / (_COMPLETE + Path(scratch).name.removeprefix(_WRITING))
        os.replace(scratch, complete)
        _move_all(complete, folder)


def finish_interrupted(folder: Path | str) -> None:
    """Move complete files into `folder` that a process was killed over moving.  Raises OutputError if they cannot be moved."""
    folder = Path(folder)
    if folder.is_dir():
        with _sentences(folder):
            for complete in sorted(folder.glob(f"{_COMPLETE}*")):
                _move_all(complete, folder)


def require_writable(folder: Path | str) -> None:
    """Raise OutputError now, before any work is done, if files cannot be written into `folder`; leaves nothing behind."""
    folder = Path(folder)
    with _sentences(folder):
        made = _make(folder)
        try:
            with tempfile.NamedTemporaryFile(prefix=_WRITING, dir=folder) as probe:
                probe.write(b"\0" * 4096)
        finally:
            for parent in reversed(made):
                parent.rmdir()


def _make(folder: Path) -> list[Path]:
    """Make `folder` and its missing parents; returns those that were made, outermost first."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()][::-1]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _move_all(complete: Path, folder: Path) -> None:
    """Remove what is stale in `folder`, move every file of `complete` there, and remove `complete`; done again after a kill it comes to the same.

    On a failure the files already moved are taken back unless they replaced an older one.  If `complete` has no list of stale
    files it is being removed, or was when its process was killed: all that was to be moved has been.
    """
    try:
        stale = (complete / _STALE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        _discard(complete)
        return
    moved: list[Path] = []
    try:
        for name in stale:
            (folder / name).unlink(missing_ok=True)
        for file in sorted(path for path in complete.iterdir() if path.name != _STALE):
            target = folder / file.name
            existed = target.exists()
            try:
                os.replace(file, target)
            except FileNotFoundError:
                if file.exists() or not folder.is_dir():
                    raise
                continue  # another process came upon the same files and has moved this one
            moved += [] if existed else [target]
    except OSError:
        if not complete.exists() and folder.is_dir():
            return  # another process has moved them all
        for target in moved:
            target.unlink(missing_ok=True)
        _discard(complete)
        raise
    _discard(complete)


def _discard(complete: Path) -> None:
    (complete / _STALE).unlink(missing_ok=True)  # first, so that what is left after a kill is never taken for a complete set
    shutil.rmtree(complete, ignore_errors=True)


@contextmanager
def _sentences(folder: Path) -> Iterator[None]:
    """Turn what the operating system says about `folder` into a sentence for the user."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        if error.errno is None:
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(f"The disk of {folder} is full; free some space or choose another folder. Nothing was written.") from error
        reason = (error.strerror or os.strerror(error.errno)).lower()
        raise OutputError(f"Cannot write into {folder} ({reason}); choose a folder that you may write to.") from error
