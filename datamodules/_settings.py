"""A job that goes on where it stopped must go on with the settings it began with."""

import json
from pathlib import Path
from typing import Any

from mattingzoo.io import bad_file


def check_unchanged(file: Path, settings: dict[str, Any]) -> None:
    """Refuse a folder that was begun with other settings: it would hold a mixture.

    Args:
        file: The report of the job, which is in the folder; it need not be there.
        settings: All that decides what the job makes, in plain types.

    Raises:
        BadFileError: If the file is no such report.
        ValueError: If its settings differ; the message says in what.
    """
    if not file.exists():
        return
    try:
        before = json.loads(file.read_bytes())["settings"]
    except (ValueError, KeyError, TypeError) as error:
        found, expected = "not the report of a build", "the report of this job"
        raise bad_file(file, found, expected, "choose another folder as out") from error
    keys = sorted(before.keys() | settings.keys())
    changed = [f"{k} was {before.get(k)}" for k in keys if before.get(k) != settings.get(k)]
    if changed:
        raise ValueError(
            f"{file.parent} was begun with other settings: {'; '.join(changed)}; choose another "
            "folder as out, or give the same settings to go on"
        )
