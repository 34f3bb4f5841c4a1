"""All that PBS knows of one job, out of `qstat -f -F dsv`, and the name and version of the product."""

from __future__ import annotations

import re
from typing import Dict

from psij_ext.exceptions import ParseError
from psij_ext.executors.batch.pbspro_dsv import HEAD, read_value, split_record

# PBS prints its version on standard output, Torque on standard error: `pbs_version = 23.06.06` and `Version: 6.1.2`.
_PBS_VERSION = re.compile(r'^pbs_version = (?:PBSPro_)?(\d+(?:\.\d+)*)', re.MULTILINE)
_TORQUE_VERSION = re.compile(r'^Version: (\S+)', re.MULTILINE)
# PBS Pro 19 was followed by OpenPBS 20.0 (github.com/openhpc/ohpc/pull/1224) and by PBS Pro 2020.1: its versions are
# years since.
_FIRST_OPENPBS, _FIRST_YEAR = 20, 1000


def parse_job(text: str, delimiter: str) -> Dict[str, str]:
    """Read the record of one job: its id as `Job_Id`, and all its attributes; a resource is `Resource_List.ncpus`.

    :return: the fields; none where there is no record.
    :raises ParseError: if the line is no record.
    """
    line = next((line for line in text.split('\n') if line.startswith(HEAD)), None)
    if line is None:
        return {}
    first, *fields = (read_value(field, delimiter) for field in split_record(line, delimiter))
    record = {'Job_Id': first[len(HEAD):].strip()}
    for field in fields:
        name, equals, value = field.partition('=')
        if not equals:
            raise ParseError(f'qstat printed a field without a value: {field!r}')
        record.setdefault(name, value)
    if len(record) == 1:
        raise ParseError(f'qstat printed no fields: {line[:1000]!r}')
    return record


def parse_origins(text: str, delimiter: str, user: str) -> Dict[str, str]:
    """Read where the outputs of a user's jobs go, which is the folder that they were submitted from.

    :return: the folders by native id; records that cannot be read are passed over.
    :raises ParseError: if it ends in the middle of a record.
    """
    if text and not text.endswith('\n'):
        raise ParseError(f'The answer of qstat ends in the middle of a record: {text[-80:]!r}')
    origins = {}
    for line in text.split('\n'):
        try:
            record = parse_job(line, delimiter)
        except ParseError:
            continue
        # Whatever others call their files, it says nothing of our jobs.
        if record.get('Job_Owner', '').partition('@')[0] == user:
            path = record.get('Output_Path', '').partition(':')[2]
            origins[record['Job_Id']] = path.rpartition('/')[0]
    return origins


def parse_version(text: str) -> str:
    """Read product and version out of what `qstat --version` printed: PBS Pro, OpenPBS or Torque.

    :raises ParseError: if there is none.
    """
    torque = _TORQUE_VERSION.search(text)
    if torque is not None:
        return f'Torque {torque[1]}'
    found = _PBS_VERSION.search(text)
    if found is None:
        raise ParseError(f'qstat named no version: {text!r}')
    # A fourth number is the moment of the build.
    version = '.'.join(found[1].split('.')[:3])
    major = int(found[1].partition('.')[0])
    return f'OpenPBS {version}' if _FIRST_OPENPBS <= major < _FIRST_YEAR else f'PBS Pro {version}'
