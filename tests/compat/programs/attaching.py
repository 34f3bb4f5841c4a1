"""Submits a job and says its id; or attaches to it from another process."""

import sys
from pathlib import Path

from psij import Job, JobExecutor, JobSpec, JobState

ex = JobExecutor.get_instance(sys.argv[1])
if len(sys.argv) == 2:
    job = Job(JobSpec('/bin/sh', ['-c', 'until [ -e go ]; do sleep 0.1; done; exit 4']))
    ex.submit(job)
    job.wait(target_states=[JobState.ACTIVE])
    print(job.native_id)
else:
    job = Job()
    ex.attach(job, sys.argv[2])
    assert sys.argv[2] in ex.list()
    Path('go').touch()
    job.wait()
    print(job.status.state, job.status.exit_code)
