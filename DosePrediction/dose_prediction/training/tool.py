"""How the training's programs end: what the user can mend is told in a sentence, as `dose-prediction` tells it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from dose_prediction.error_sentences import sentence_for


def run_tool(main: Callable[[], int]) -> NoReturn:
    """Run a program's `main` and leave with its exit code; with 2 where the input is at fault."""
    try:
        sys.exit(main())
    except Exception as error:
        sentence = sentence_for(error)
        if sentence is None:
            raise
        print(sentence, file=sys.stderr)
        sys.exit(2)
