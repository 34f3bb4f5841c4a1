"""Staging, and descriptions that are written to a file and read again."""

import sys
from pathlib import Path

from psij import Job, JobExecutor, JobSpec
from psij.serialize import JSONSerializer
from psij.staging import StageIn, StageOut, StageOutFlags

here = Path.cwd()
(here / 'source').write_text('staged\n')
(here / 'run').mkdir()
spec = JobSpec('/bin/sh', ['-c', 'tr a-z A-Z < inside > made; touch scratch'], directory=here / 'run')
spec.stage_in = [StageIn('source', 'inside')]
spec.stage_out = [StageOut('made', here / 'target', flags=StageOutFlags.ON_SUCCESS)]
spec.cleanup = {Path('scratch')}

serializer = JSONSerializer()
with open('spec.json', 'w') as stream:
    serializer.dump(spec, stream)
with open('spec.json') as stream:
    again = serializer.load(stream)
assert again == spec
assert serializer.loads(serializer.dumps(spec)) == spec

job = Job(again)
JobExecutor.get_instance(sys.argv[1]).submit(job)
job.wait()
print(job.status.state, (here / 'target').read_text(), sorted(path.name for path in (here / 'run').iterdir()))
