"""Where our files lie in a user's home, by the XDG base directory specification."""

from __future__ import annotations

import os
from pathlib import Path

WORK_DIRECTORY_VARIABLE = 'PSIJ_EXT_WORK_DIRECTORY'


def user_state_folder() -> Path:
    """Return where we keep what lasts and is not for people to read: in the state folder of the XDG specification."""
    state = Path(os.environ.get('XDG_STATE_HOME') or '')
    if not state.is_absolute():
        state = Path.home().absolute() / '.local' / 'state'
    return state / 'psij-ext'


def default_work_directory() -> Path:
    """Return where job folders lie if nothing else was asked for: in the user's state folder."""
    chosen = os.environ.get(WORK_DIRECTORY_VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    return user_state_folder() / 'jobs'
