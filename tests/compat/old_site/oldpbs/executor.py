"""An executor for PBS as PSI/J's tutorial teaches to write one: seven methods, and a generator of scripts."""

import json
from pathlib import Path
from typing import Collection, Dict, List, Optional, TextIO

from psij import Job, JobState, JobStatus, SubmitException
from psij.executors.batch.batch_scheduler_executor import (
    BatchSchedulerExecutor,
    BatchSchedulerExecutorConfig,
    InvalidJobStateError,
    check_status_exit_code,
)
from psij.executors.batch.script_generator import TemplatedScriptGenerator

STATES = {'Q': JobState.QUEUED, 'H': JobState.QUEUED, 'R': JobState.ACTIVE, 'E': JobState.ACTIVE}


class OldPBSExecutor(BatchSchedulerExecutor):
    def __init__(self, url: Optional[str] = None, config: Optional[BatchSchedulerExecutorConfig] = None):
        if not config:
            config = BatchSchedulerExecutorConfig()
        super().__init__(url=url, config=config)
        self.generator = TemplatedScriptGenerator(config, Path(__file__).parent / 'oldpbs.mustache')

    def generate_submit_script(self, job: Job, context: Dict[str, object], submit_file: TextIO) -> None:
        self.generator.generate_submit_script(job, context, submit_file)

    def get_submit_command(self, job: Job, submit_file_path: Path) -> List[str]:
        return ['qsub', str(submit_file_path.absolute())]

    def job_id_from_submit_output(self, out: str) -> str:
        return out.strip().split('\n')[-1]

    def get_status_command(self, native_ids: Collection[str]) -> List[str]:
        return ['qstat', '-f', '-F', 'json', '-x', *native_ids]

    def parse_status_output(self, exit_code: int, out: str) -> Dict[str, JobStatus]:
        check_status_exit_code('qstat', exit_code, out)
        statuses = {}
        for native_id, record in json.loads(out)['Jobs'].items():
            state = STATES.get(record['job_state'])
            if state is None:
                codes = {0: JobState.COMPLETED, 265: JobState.CANCELED, 271: JobState.CANCELED}
                state = codes.get(record.get('Exit_status'), JobState.FAILED)
            statuses[native_id] = JobStatus(state, message=record.get('comment'))
        return statuses

    def get_cancel_command(self, native_id: str) -> List[str]:
        return ['qdel', native_id]

    def process_cancel_command_output(self, exit_code: int, out: str) -> None:
        if 'has finished' in out:
            raise InvalidJobStateError()
        raise SubmitException(f'qdel failed: {out}')


class KeywordPBSExecutor(OldPBSExecutor):
    def __init__(self, *, url, config):
        super().__init__(url, config)
