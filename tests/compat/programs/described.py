"""Arguments, environment, redirects, resources, scheduling information, a pre-launch script."""

import datetime
import pathlib
import sys
import warnings

from psij import Job, JobAttributes, JobExecutor, JobSpec, ResourceSpecV1

here = pathlib.Path.cwd()
(here / 'input').write_text('from the input\n')
(here / 'pre.sh').write_text('export PREPARED=yes\n')

spec = JobSpec()
spec.executable = '/bin/sh'
spec.arguments = ['-c', 'cat; echo "$GREETING $PREPARED $1"; wc -l < "$PSIJ_NODEFILE"; echo error >&2', 'sh', 'two words']
spec.directory = here
spec.environment = {'GREETING': 'hello', 'NUMBER': 1}
spec.inherit_environment = False
spec.stdin_path = here / 'input'
spec.stdout_path = str(here / 'output')
spec.stderr_path = here / 'error'
spec.pre_launch = here / 'pre.sh'
spec.launcher = 'single'
spec.resources = ResourceSpecV1(node_count=1, process_count=2, cpu_cores_per_process=1)
spec.attributes = JobAttributes(duration=datetime.timedelta(minutes=5))
if sys.argv[2]:
    spec.attributes.queue_name = sys.argv[2]
spec.attributes.set_custom_attribute('nowhere.option', 'value')
with warnings.catch_warnings():
    warnings.simplefilter('ignore', DeprecationWarning)
    assert spec.attributes.project_name is None

job = Job(spec)
JobExecutor.get_instance(sys.argv[1]).submit(job)
status = job.wait(timeout=datetime.timedelta(seconds=60))
assert status.final and status.exit_code == 0, status
print((here / 'output').read_text() + (here / 'error').read_text(), end='')
