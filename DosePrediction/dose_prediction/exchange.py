"""DICOM for Slicer's panel in a process of its own: `python -m dose_prediction.exchange COMMAND FROM TO`.

`import` and `describe` write the study of the folder FROM into the folder TO, `describe` without its volumes (see `dose_prediction.dicom_import`);
`export` writes the dose of the folder FROM as RTDOSE into the folder TO (see `dose_prediction.dicom_export`).  Standard output carries lines of JSON:
"progress" with stage and fraction, then exactly one of "result" and "error" (message).
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

from dose_prediction.error_sentences import sentence_for


def main(arguments: list[str]) -> int:
    """Carry out one command; 0 if it came to its end."""
    command, source, target = arguments[0], Path(arguments[1]), Path(arguments[2])
    try:
        if command == "export":
            from dose_prediction.dicom_export import export_dose

            _say("progress", stage="Writing the dose", fraction=0.1)
            _say("result", files=export_dose(source, target))
        else:
            from dose_prediction.dicom_import import import_study

            import_study(source, target, command == "import", lambda stage, fraction: _say("progress", stage=stage, fraction=fraction))
            _say("result")
    except Exception as error:
        sentence = sentence_for(error)
        if sentence is None:
            traceback.print_tb(error.__traceback__)  # without the error's words, which may quote what a file says of its patient
            sentence = f"The DICOM files could not be handled ({type(error).__name__}); please report this with the log."
        _say("error", message=sentence)
        return 1
    return 0


def _say(event: str, **content: Any) -> None:
    print(json.dumps({"event": event, **content}), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
