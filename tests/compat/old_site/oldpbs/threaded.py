"""An executor of another kind, which runs a job in a thread: it needs none of the batch schedulers' methods."""

import subprocess
import threading
from typing import List, Optional

from psij import InvalidJobException, Job, JobExecutor, JobExecutorConfig, JobState, JobStatus, SubmitException


class ThreadedExecutor(JobExecutor):
    def __init__(self, url: Optional[str] = None, config: Optional[JobExecutorConfig] = None) -> None:
        super().__init__(url=url, config=config if config else JobExecutorConfig())
        self.processes = {}

    def submit(self, job: Job) -> None:
        spec = self._check_job(job)
        if spec.executable == '/nowhere':
            raise SubmitException('There is no room', transient=True)
        job.executor = self
        command = self._get_launcher(spec.launcher or 'single').get_launch_command(job)
        process = subprocess.Popen(command)
        job._native_id = str(process.pid)
        self.processes[job.id] = process
        self._set_job_status(job, JobStatus(JobState.QUEUED))
        threading.Thread(target=self._follow, args=(job, process)).start()

    def _follow(self, job: Job, process: subprocess.Popen) -> None:
        job.status = JobStatus(JobState.ACTIVE)
        code = process.wait()
        if code < 0:
            state = JobState.CANCELED
        else:
            state = JobState.FAILED if code else JobState.COMPLETED
        self._set_job_status(job, JobStatus(state, exit_code=code))

    def cancel(self, job: Job) -> None:
        self.processes[job.id].terminate()

    def attach(self, job: Job, native_id: str) -> None:
        raise InvalidJobException('Cannot attach')

    def list(self) -> List[str]:
        return [str(process.pid) for process in self.processes.values() if process.poll() is None]
