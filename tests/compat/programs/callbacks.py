"""Callbacks: an object on the executor, a function on a job."""

import sys
import threading

import psij
from psij import Job, JobExecutor, JobSpec, JobState, JobStatus

COUNT = 3
seen = []


class Callback(psij.JobStatusCallback):
    def __init__(self):
        self.left = COUNT
        self.done = threading.Event()

    def job_status_changed(self, job: Job, job_status: JobStatus) -> None:
        if job_status.final:
            self.left -= 1
        if self.left == 0:
            self.done.set()


def note(job, status):
    seen.append(status.state)


ex = JobExecutor.get_instance(sys.argv[1])
callback = Callback()
ex.set_job_status_callback(callback)
for i in range(COUNT):
    job = Job(JobSpec('/bin/sleep', arguments=['0.1']))
    if i == 0:
        job.set_job_status_callback(note)
    ex.submit(job)
print(callback.done.wait(60))
assert seen == [JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED], seen
assert JobState.COMPLETED.is_greater_than(JobState.ACTIVE)
assert not JobState.ACTIVE.final
