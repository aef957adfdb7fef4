"""What processes of the core say on standard output: one event a line, as JSON."""

from __future__ import annotations

import json
import logging
from typing import Any


class EventLines:
    """Puts events together from output that arrives in pieces."""

    def __init__(self) -> None:
        self._unread = b""

    def events_in(self, output: bytes) -> list[dict[str, Any]]:
        """The events that `output` completes; a line that is none is logged and passed over."""
        *lines, self._unread = (self._unread + output).split(b"\n")
        found = []
        for line in lines:
            if not line.strip():
                continue
            text = line.decode("utf-8", errors="replace")
            try:
                event = json.loads(text)
                _kind = event["event"]
            except (ValueError, TypeError, KeyError):
                logging.warning("The process said something that is no event: %s", text)
            else:
                found.append(event)
        return found
