"""Submitting many jobs of one shape as one array: one command, one script and one folder, whatever their number."""

from __future__ import annotations

import builtins
import functools
import logging
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Callable

from psij_ext.core.dependencies import Dependencies
from psij_ext.core.job import Job
from psij_ext.core.serialization import JSONSerializer
from psij_ext.exceptions import FolderUnreadable, InvalidJobException, PsijExtError, SubmitException, SubmitUncertain
from psij_ext.executors.bulk import Batch, BulkExecutor, Failures, Given
from psij_ext.executors.depending import Others
from psij_ext.executors.settling import Submitted
from psij_ext.runtime.arrays import ArrayFolder, MemberFolder
from psij_ext.runtime.claims import new_nonce
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.private import check_private
from psij_ext.runtime.settlement import OpenSubmission, give_up

logger = logging.getLogger(__name__)


class ArrayRefused(SubmitException):
    """An array was refused because it is one; its jobs may be taken one by one."""


class ArrayTurnedAway(SubmitException):
    """An array was refused, by a scheduler that answers, for a reason that may pass: a smaller one may be taken now."""


class ArraySubmittingExecutor(BulkExecutor):
    """An executor that submits jobs of one shape as arrays, where its scheduler has any."""

    # -- what subclasses give

    @abstractmethod
    def array_shape(self, job: Job) -> Hashable | None:
        """Return what jobs must have in common to be elements of one array; None for a job that goes by itself."""

    @property
    @abstractmethod
    def _fewest_elements(self) -> int:
        """How many elements an array has at least."""

    @abstractmethod
    def _most_elements(self) -> int:
        """Return how many elements an array may have; 0 where there are no arrays."""

    @abstractmethod
    def _start_array(self, jobs: Sequence[Job], folder: ArrayFolder, nonce: str) -> str:
        """Write an array's script and hand it to the scheduler; return the native id of the array.

        :param jobs: copies of the jobs, with absolute specs, in the order of the elements.
        :raises InvalidJobException: if one of them cannot be run as written.
        :raises ArrayRefused: if the scheduler refuses it for being an array.
        :raises SubmitException: if the scheduler refuses it for another reason.
        """

    # -- which jobs go together

    def _batches(self, given: Sequence[Given]) -> builtins.list[Batch]:
        by_shape: dict[Hashable, Batch] = {}
        batches: builtins.list[Batch] = []
        for each in given:
            shape = self.array_shape(each.copied)
            if shape is None:
                batches.append([each])
            else:
                by_shape.setdefault(shape, []).append(each)
        for alike in by_shape.values():
            batches += self._divided(alike)
        return batches

    def _divided(self, alike: Batch) -> builtins.list[Batch]:
        """Divide jobs of one shape into as few arrays as possible, of nearly the same size."""
        fewest = max(self._fewest_elements, 2)
        most = self._most_elements() if len(alike) >= fewest else 0
        if most < fewest:
            return [[each] for each in alike]
        arrays = -(-len(alike) // most)
        size, larger = divmod(len(alike), arrays)
        begins = [number * size + min(number, larger) for number in range(arrays + 1)]
        batches = [alike[begin:end] for begin, end in zip(begins, begins[1:])]
        return batches if size >= fewest else [[each] for each in alike]

    # -- one array

    def _submit_together(self, batch: Batch, failures: Failures) -> builtins.list[Batch]:
        divided: builtins.list[Batch] = []
        waiting = [batch]
        while waiting:
            part = waiting.pop()
            if failures.scheduler_is_busy:
                failures.leave_out(part)
                continue
            try:
                self._submit_array(part)
            except ArrayRefused as refusal:
                logger.info('%d jobs are submitted one by one: %s', len(part), refusal)
                divided += [[each] for each in part]
            except InvalidJobException as error:
                logger.debug('Some of %d jobs cannot be elements of an array: %s', len(part), error)
                divided += self._without_culprits(part)
            except PsijExtError as error:
                if self._may_be_too_many(part, error):
                    waiting += [part[len(part) // 2:], part[:len(part) // 2]]
                else:
                    failures.add(part, error)
        return divided

    def _may_be_too_many(self, batch: Batch, error: PsijExtError) -> bool:
        """Whether a half of an array may be taken that was refused: a user may have so many jobs and no more.

        Nobody knows how many these are. So halves are tried at once, and only with what is too small it is waited.
        """
        return isinstance(error, ArrayTurnedAway) and len(batch) >= 2 * max(self._fewest_elements, 2)

    def _without_culprits(self, batch: Batch) -> builtins.list[Batch]:
        """Separate the jobs that cannot be run as written, which are to say so by themselves, from the others."""
        culprits, others = [], []
        for each in batch:
            try:
                self.render(each.copied, JobFolder(self.work_directory / each.job.id), new_nonce())
                others.append(each)
            except InvalidJobException:
                culprits.append([each])
        return [*culprits, *self._divided(others)] if culprits else [[each] for each in batch]

    def _submit_array(self, batch: Batch) -> None:
        self._take_all(batch)
        folder: ArrayFolder | None = None
        try:
            folder = self._make_array_folder(batch)
            native_id = self._start_array_patiently(batch, folder)
        except SubmitUncertain as uncertain:
            # They stay bound: a second submission might make them run twice.
            if folder is not None:
                self._follow_open_array(batch, folder, str(uncertain))
            raise
        except (PsijExtError, OSError) as error:
            _unbind(batch)
            if folder is not None:
                give_up(folder, str(error), reported=True)
            if isinstance(error, OSError):
                raise SubmitException(f'The folder of an array cannot be written: {error}', error) from error
            raise
        except BaseException as error:  # an interrupt, for one
            if folder is None or self._take_back(
                    folder, str(error) or type(error).__name__,
                    functools.partial(self._follow_array, batch, folder=folder),
                    functools.partial(self._follow_open_array, batch, folder)):
                _unbind(batch)
            raise
        self._follow_array(batch, native_id, folder)

    def _take_all(self, batch: Batch) -> None:
        taken: Batch = []
        try:
            for each in batch:
                self._take(each.job)
                taken.append(each)
        except InvalidJobException:  # by somebody else, since they were looked at
            _unbind(taken)
            raise

    def _make_array_folder(self, batch: Batch) -> ArrayFolder:
        folder = ArrayFolder.make(self.work_directory)
        check_private(self.work_directory)
        folder.name_elements_by(self._name_element)
        serializer, specs = JSONSerializer(), [each.spec for each in batch]
        folder.begin_journal(
            [each.job.id for each in batch], serializer.dumps(specs[0]), serializer.dumps_differences(specs))
        return folder

    def _start_array_patiently(self, batch: Batch, folder: ArrayFolder) -> str:
        jobs = [each.copied for each in batch]

        def start() -> str:
            nonce = new_nonce()
            folder.note_submission(self._submission_record(folder, nonce))
            return self._start_array(jobs, folder, nonce)

        return self._patiently(start, lambda refusal: not self._may_be_too_many(batch, refusal))

    # -- what follows

    def _end_jobs(self, jobs: Sequence[tuple[Job, str]]) -> Mapping[str, SubmitException]:
        """End jobs; an array by its own id where it has no element that is to live on.

        A controller takes that at once, and 10,000 ids one by one in seconds.
        """
        arrays = self._whole_arrays(jobs, ArrayFolder.without_end)
        refused = self._end(list(dict.fromkeys(arrays.get(native_id, native_id) for _, native_id in jobs)))
        by_job = {native_id: refused.get(arrays.get(native_id, native_id)) for _, native_id in jobs}
        return {native_id: failure for native_id, failure in by_job.items() if failure is not None}

    def _undecided(self, others: Others, job: Job) -> Dependencies:
        """Name an array by its own id where the ends of all of its elements are waited for, whatever they are.

        PBS lets no job wait for one element alone. What counts as the success of an array differs from one scheduler to
        the other: that of its last element was seen to be enough.
        """
        left = super()._undecided(others, job)
        return left._replace(after_any=_named(left.after_any, self._all_of_arrays(others.after_any)))

    def _all_of_arrays(self, jobs: Sequence[Job]) -> dict[str, str]:
        return self._whole_arrays(
            [(job, job.native_id or '') for job in jobs], lambda array: range(len([*array.jobs])))

    def _whole_arrays(
        self, jobs: Sequence[tuple[Job, str]], needed: Callable[[ArrayFolder], Iterable[int]],
    ) -> dict[str, str]:
        """Return for the native ids of elements that of their array, where enough of its elements are among the jobs.

        :param needed: gives the indices of those that must be.
        """
        chosen: dict[ArrayFolder, dict[int, str]] = {}
        for job, native_id in jobs:
            folder = self._folder_of(job)
            if isinstance(folder, MemberFolder):
                chosen.setdefault(folder.array, {})[folder.index] = native_id
        whole: dict[str, str] = {}
        for array, elements in chosen.items():
            try:
                array_id = array.read_journal().native_id
                if array_id is not None and len(elements) > 1 and elements.keys() >= {*needed(array)}:
                    whole.update(dict.fromkeys(elements.values(), array_id))
            except FolderUnreadable as error:
                logger.debug('The elements of an array are named one by one: %s', error)
        return whole

    def _follow_array(self, batch: Batch, native_id: str, folder: ArrayFolder) -> None:
        """Follow the jobs of an array that the scheduler has taken."""
        try:
            folder.set_native_id(native_id)
        except OSError as error:
            logger.warning('The native id %s of an array cannot be kept in %s: %s', native_id, folder.path, error)
        submitted = []
        for index, each in enumerate(batch):
            element = self._name_element(native_id, index)
            member = self._shared_folders[each.job] = MemberFolder(folder, index, each.job.id)
            each.job._set_native_id(element)
            submitted.append(Submitted(each.job, element, member, each.spec))
        self._begin_to_follow(submitted)

    def _follow_open_array(self, batch: Batch, folder: ArrayFolder, reason: str) -> None:
        """Follow the jobs of an array of which nobody knows whether it was submitted."""
        self._follow_uncertain(
            [each.job for each in batch], OpenSubmission(folder, reason, is_own=True),
            functools.partial(self._follow_array, batch, folder=folder))


def _named(native_ids: Iterable[str], arrays: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(arrays.get(native_id, native_id) for native_id in native_ids))


def _unbind(batch: Batch) -> None:
    for each in batch:
        each.job._unbind()

