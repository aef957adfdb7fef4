"""Files that are either whole or not there: each is written under a temporary name and renamed when it is complete."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class OutputError(OSError):
    """A file or folder cannot be written.  The message names it and what to do about it."""


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`, with its file extension; renamed to `path` if the block ends well, removed if it does not.

    Raises OutputError if the folder cannot be written to or its disk is full.
    """
    path = Path(path)
    with _sentences(path.parent), tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent, ignore_cleanup_errors=True) as scratch:
        unfinished = Path(scratch) / path.name
        yield unfinished
        os.replace(unfinished, path)


@contextmanager
def whole_folder(folder: Path | str) -> Iterator[Path]:
    """A temporary folder inside `folder`; what it holds moves into `folder` if the block ends well, and vanishes if it does not.

    `folder` is made if it is not there, and removed again if nothing came to lie in it.  Raises OutputError as `whole_file` does.
    """
    folder = Path(folder)
    with _sentences(folder):
        made = _make(folder)
        try:
            with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder, ignore_cleanup_errors=True) as scratch:
                yield Path(scratch)
                _move_all(Path(scratch), folder)
        except BaseException:
            for parent in reversed(made):
                shutil.rmtree(parent, ignore_errors=True)
            raise


def require_writable(folder: Path | str) -> None:
    """Raise OutputError now, before any work is done, if files cannot be written into `folder`; leaves nothing behind."""
    folder = Path(folder)
    with _sentences(folder):
        made = _make(folder)
        try:
            with tempfile.NamedTemporaryFile(prefix=".writing-", dir=folder) as probe:
                probe.write(b"\0" * 4096)
        finally:
            for parent in reversed(made):
                parent.rmdir()


def _make(folder: Path) -> list[Path]:
    """Make `folder` and its missing parents; returns those that were made, outermost first."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()][::-1]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _move_all(scratch: Path, folder: Path) -> None:
    """Move every file of `scratch` into `folder`; on a failure the ones already moved are taken back unless they replaced an older file."""
    moved: list[Path] = []
    try:
        for file in sorted(scratch.iterdir()):
            target = folder / file.name
            existed = target.exists()
            os.replace(file, target)
            if not existed:
                moved.append(target)
    except OSError:
        for target in moved:
            target.unlink(missing_ok=True)
        raise


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
