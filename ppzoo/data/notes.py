# SPDX-License-Identifier: Apache-2.0
"""Notes beside pictures that were made, so that the next call does not mix them with others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ppzoo.atomic import atomic_write
from ppzoo.errors import DataError


def agree_on_settings(note: Path, settings: dict[str, Any], what: str, binding: bool) -> None:
    """Write down the settings that pictures are made with, or compare them with what is there.

    Args:
        note: the file.
        settings: what can be written as JSON.
        what: what the pictures are called, as in "pairs".
        binding: whether there are pictures already; if not, the note is written anew.

    Raises:
        DataError: pictures were made with other settings, or the note cannot be read.
        UserError: it cannot be written.
    """
    if not binding or not note.exists():
        with atomic_write(note) as file:
            file.write(json.dumps(settings).encode() + b"\n")
        return
    try:
        before = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the settings of the {what} in {note}: {error}") from error
    if before != settings:
        raise DataError(
            f"the {what} in {note.parent} were made with other settings ({before}, now "
            f"{settings}); choose another folder, or remove that one"
        )
