"""A job that is waited for until it runs, and cancelled; and errors."""

import sys
from datetime import timedelta

from psij import InvalidJobException, Job, JobExecutor, JobSpec, JobState, SubmitException

ex = JobExecutor.get_instance(sys.argv[1], version_constraint='>0')
job = Job(JobSpec('/bin/sleep', ['100']))
try:
    job.cancel()
except SubmitException as error:
    print('not submitted' in error.message)
ex.submit(job)
assert job.wait(timeout=timedelta(seconds=60), target_states=[JobState.ACTIVE]).state == JobState.ACTIVE
assert job.wait(timeout=timedelta(milliseconds=10)) is None
job.cancel()
job.wait()
print(job.status.state, job.status.final)
try:
    ex.submit(Job(JobSpec()))
except InvalidJobException as error:
    print('executable' in str(error))
try:
    JobExecutor.get_instance('no such executor')
except ValueError as error:
    print('no such executor' in str(error))
