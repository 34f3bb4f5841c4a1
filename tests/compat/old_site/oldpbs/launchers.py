"""Launchers as PSI/J's documentation teaches to write them, and one that only builds a command."""

from pathlib import Path
from typing import List, Optional

from psij import Job, JobExecutorConfig, Launcher
from psij.launchers.multiple import MultipleLauncher
from psij.launchers.script_based_launcher import ScriptBasedLauncher

SCRIPTS = Path(__file__).parent


class TwiceLauncher(ScriptBasedLauncher):
    def __init__(self, config: Optional[JobExecutorConfig] = None):
        super().__init__(SCRIPTS / 'twice.sh', config=config)

    def get_additional_args(self, job: Job) -> List[str]:
        return ['2']


class CountedLauncher(MultipleLauncher):
    def __init__(self, config: Optional[JobExecutorConfig] = None):
        super().__init__(script_path=SCRIPTS / 'twice.sh', config=config)


class BareLauncher(Launcher):
    def get_launch_command(self, job: Job) -> List[str]:
        return ['nice', '-n', '1', job.spec.executable, *(job.spec.arguments or [])]

    def is_launcher_failure(self, output: str) -> bool:
        return False

    def get_launcher_failure_message(self, output: str) -> str:
        return ''
