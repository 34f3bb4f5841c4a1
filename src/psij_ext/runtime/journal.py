"""The journal of a job: what the submitting side knows, in one file that is only ever added to.

A line is a JSON object; the newest entry of each name counts, and a line that was cut short by a crash is passed over.
What became of an attempt to submit no longer counts once there is a next one, and what is said of an earlier attempt
later than that does not count at all.
One file and not one for each fact, because making a file costs more than all else that a submission needs of us.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from psij_ext.core.dependencies import Dependencies

# In a line that says what became of an attempt to submit: its nonce.
ATTEMPT = 'attempt'
# What is said of a submission that came to nothing.
_OF_AN_ATTEMPT = ('foreign', 'not_submitted', 'reported')


class Journal:
    """The entries of a journal; what is missing or unreadable is None.

    :param entries: the newest of each name.
    """

    def __init__(self, entries: Mapping[str, object]) -> None:
        self._entries = entries

    @classmethod
    def parse(cls, content: bytes | None) -> Journal:
        """Read a journal's file; lines that cannot be read are passed over.

        :param content: what is in the file; None where there is none.
        """
        entries: dict[str, object] = {}
        for line in (content or b'').split(b'\n'):
            try:
                entry = json.loads(line) if line else {}
            except (RecursionError, ValueError):
                continue
            if isinstance(entry, dict):
                attempt = entry.pop(ATTEMPT, None)
                if 'submission' in entry:
                    for name in _OF_AN_ATTEMPT:
                        entries.pop(name, None)
                elif attempt not in (None, cls(entries).nonce):
                    continue
                entries.update(entry)
        return cls(entries)

    @staticmethod
    def line(**entries: object) -> bytes:
        """Write entries as a line that can be added to a file."""
        # The newline comes first, so that a line that was cut short spoils no other.
        return b'\n' + json.dumps(entries).encode()

    @property
    def array(self) -> str | None:
        """The name of the folder of the array that it is the journal of; None for that of a job."""
        return self._text('array')

    @property
    def elements(self) -> object:
        """What stands around the index in the native ids of the elements of an array."""
        return self._entries.get('elements')

    @property
    def submission(self) -> dict[str, object] | None:
        """Who submitted what, when, and under which nonce."""
        record = self._entries.get('submission')
        return record if isinstance(record, dict) else None

    @property
    def nonce(self) -> str | None:
        """The name of the latest submission."""
        nonce = (self.submission or {}).get('nonce')
        return nonce if isinstance(nonce, str) else None

    @property
    def submitted(self) -> float | None:
        """When it was submitted, in seconds since the epoch."""
        submitted = (self.submission or {}).get('submitted')
        return submitted if isinstance(submitted, float) else None

    @property
    def dependencies(self) -> Dependencies:
        """Which jobs it was to wait for."""
        return Dependencies.read((self.submission or {}).get('dependencies'))

    @property
    def owner(self) -> object:
        """The process that looks after the job: the one that submitted it, or one that came back to it later."""
        return self._entries.get('owner', (self.submission or {}).get('owner'))

    @property
    def spec(self) -> str | None:
        """The serialized spec."""
        return self._text('spec')

    @property
    def native_id(self) -> str | None:
        """What the scheduler calls the job; None before it was submitted."""
        return self._text('native_id')

    @property
    def not_submitted(self) -> str | None:
        """Why the submission came to nothing; None if it did not, or nobody knows."""
        return self._text('not_submitted')

    @property
    def is_open(self) -> bool:
        """Whether nobody knows what became of the submission."""
        return self.submission is not None and self.native_id is None and self.not_submitted is None

    @property
    def is_foreign(self) -> bool:
        """Whether the script is a plugin's own, which claims nothing."""
        return 'foreign' in self._entries

    @property
    def cancel_noted(self) -> bool:
        """Whether the scheduler took a cancel of ours, by whatever process."""
        return 'cancel' in self._entries

    @property
    def end(self) -> dict[str, object] | None:
        """How the job ended; None where nobody has seen its end yet."""
        end = self._entries.get('end')
        return end if isinstance(end, dict) else None

    @property
    def reported(self) -> float | None:
        """When whoever looks after the job was told of its end, or that it was not submitted; None before that."""
        reported = self._entries.get('reported')
        return reported if isinstance(reported, float) else None

    def _text(self, name: str) -> str | None:
        value = self._entries.get(name)
        return value if isinstance(value, str) else None
