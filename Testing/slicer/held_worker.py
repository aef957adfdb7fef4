"""The real worker, which stands still in its second prediction when it comes to the stage that is named first, so that it can be killed there."""

from __future__ import annotations

import sys
import time

from dose_prediction import worker
from dose_prediction.progress import Run

HELD_S = 60.0


class HeldRun(Run):
    """Counts predictions; the second one goes no further than the stage `held_in`."""

    held_in = ""
    count = 0

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        HeldRun.count += 1

    def report(self, within: float) -> None:
        super().report(within)
        if HeldRun.count == 2 and self.name == self.held_in:
            time.sleep(HELD_S)


def main() -> int:
    from dose_prediction import prediction

    HeldRun.held_in = sys.argv.pop(1)
    prediction.Run = HeldRun  # type: ignore[misc]
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
