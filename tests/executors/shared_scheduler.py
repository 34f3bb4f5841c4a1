"""A scheduler that several processes share, and an executor for it."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable

from simple_dialect import ArrayExecutor, TellingExecutor, result

from psij_ext.exceptions import CommandTimeout
from psij_ext.runtime.command import CommandResult


class SharedScheduler:
    """A scheduler of several processes: it keeps its jobs in files, and begins their scripts when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / 'ledger'
        # What becomes of the next submit commands of this process: `refused`, `busy`; `heard` and `unheard` time out.
        self.answers: list[str] = []
        self.begins_at_once = False
        self.here: Callable[[], None] = lambda: None
        # What this process does when a submit command has timed out, in place of being told so.
        self.ends: Callable[[], object] | None = None

    def run(self, argv: Sequence[str], *, timeout: float, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, once_started: Callable[[], None] | None = None) -> CommandResult:
        self.here()
        if once_started is not None:
            once_started()
        answer: CommandResult = getattr(self, f'_{argv[0]}')(argv, cwd or Path())
        self.here()
        return answer

    def _submit(self, argv: Sequence[str], folder: Path) -> CommandResult:
        said = self.answers.pop(0) if self.answers else 'taken'
        if said in ('refused', 'busy'):
            return result(exit_code=1, stderr=said.encode())
        # As schedulers do, the submit command reads the script when it begins.
        nonce = Path(argv[-1]).read_text().split('psij_claim=$psij_folder/claim.')[1].split()[0]
        elements = next((word.partition('=')[2].partition('/')[0] for word in argv if word.startswith('--array=')), '0')
        if said != 'unheard':
            self._take(nonce, elements, folder)
        else:
            (self.folder / 'unheard').write_bytes(pickle.dumps((nonce, elements, folder)))
        if said != 'taken' and self.ends is not None:
            self.ends()
        if said != 'taken':
            raise CommandTimeout('no answer', argv=argv)
        return result(f'job {self._latest}\n'.encode())

    def _take(self, nonce: str, elements: str, folder: Path) -> None:
        for number in range(1, 100):  # the first that is free
            self.here()
            with contextlib.suppress(FileExistsError):
                os.symlink(f'{nonce} {elements} {folder}', self.folder / f'job.{number}')
                self._latest = number
                break
        if self.begins_at_once:
            self.begin(str(self._latest))

    def hear_late(self) -> None:
        """Take the job whose submit command was not heard."""
        self._take(*pickle.loads((self.folder / 'unheard').read_bytes()))

    @property
    def jobs(self) -> dict[str, tuple[str, int, Path]]:
        """What it has: nonce, number of elements and folder of each job."""
        found = {}
        for path in sorted(self.folder.glob('job.*')):
            nonce, elements, folder = os.readlink(path).split(' ', 2)
            found[path.name.partition('.')[2]] = nonce, int(elements), Path(folder)
        return found

    def begin(self, native_id: str) -> None:
        """Let a job's script do what it does first: it claims its submission, or runs nothing; then let it end."""
        nonce, elements, folder = self.jobs[native_id]
        claim = folder / f'claim.{nonce}'
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.symlink(native_id, claim)
        holder = os.readlink(claim) if os.path.lexists(claim) else None
        with contextlib.suppress(FileExistsError):
            os.symlink(holder or 'nobody', self.folder / f'begun.{native_id}')
            if holder == native_id:
                names = [f'{native_id}_{index}' for index in range(elements)] or [native_id]
                with self.ledger.open('a') as ledger:
                    ledger.write(''.join(f'{name} {folder.name}\n' for name in names))

    def forget(self) -> None:
        """Lose all that is known of jobs, and count from 1 again."""
        for path in self.folder.iterdir():
            path.unlink()

    def fail(self, native_id: str) -> None:
        """Let a job run, and end without success."""
        self.begin(native_id)
        begun = self.folder / f'begun.{native_id}'
        begun.unlink()
        begun.symlink_to('failed')

    def begin_all(self) -> None:
        for native_id in self.jobs:
            self.begin(native_id)

    @property
    def runs(self) -> list[tuple[str, str]]:
        """What ran: native ids and the names of their folders."""
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return [(line.split()[0], line.split()[1]) for line in lines]

    def _status(self, argv: Sequence[str], folder: Path) -> CommandResult:
        lines = []
        for native_id in argv[1:]:
            whole = native_id.partition('_')[0]
            if not os.path.lexists(self.folder / f'job.{whole}') or os.path.lexists(self.folder / f'gone.{whole}'):
                continue
            begun = self.folder / f'begun.{whole}'
            word = 'waiting' if not os.path.lexists(begun) else 'done' if os.readlink(begun) == whole else 'failed'
            lines.append(f'{native_id} {word}\n')
        return result(''.join(lines).encode())

    def _origins(self, argv: Sequence[str], folder: Path) -> CommandResult:
        return result(''.join(f'{native_id} {path}\n' for native_id, (_, _, path) in self.jobs.items()).encode())

    def _cancel(self, argv: Sequence[str], folder: Path) -> CommandResult:
        with contextlib.suppress(FileExistsError):
            os.symlink('canceled', self.folder / f'gone.{argv[1]}')
        return result()

    def _site(self, argv: Sequence[str], folder: Path) -> CommandResult:
        return result(b'2.5\n')


class StagedExecutor(ArrayExecutor, TellingExecutor):
    """Its scheduler knows arrays, and tells where its jobs came from."""
