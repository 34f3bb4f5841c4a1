"""A plain job, and several of them."""

import sys

from psij import Job, JobExecutor, JobSpec

ex = JobExecutor.get_instance(sys.argv[1])
job = Job(JobSpec(executable='/bin/date'))
ex.submit(job)
job.wait()
print(job.status.state, job.status.exit_code)


def make_job(i):
    job = Job()
    spec = JobSpec()
    spec.executable = '/bin/sh'
    spec.arguments = ['-c', f'exit {i}']
    job.spec = spec
    return job


jobs = []
for i in range(3):
    job = make_job(i)
    ex.submit(job)
    jobs.append(job)
for i in range(3):
    jobs[i].wait()
print([str(job.status.state) for job in jobs])
