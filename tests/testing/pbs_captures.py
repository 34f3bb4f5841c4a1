"""Captures of a real OpenPBS, and what of an answer is left to compare when ids, times and folders are put aside."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / 'data' / 'pbspro'
SUBMITTED_IN, HOME = '/home/tester/pbs', '/home/tester'
"""Where the jobs of the captures were submitted, and where they ran."""

ENVIRONMENT = {
    'HOME': HOME,
    'LANG': 'C.UTF-8',
    'LOGNAME': 'tester',
    'PATH': '/usr/local/bin:/usr/bin:/bin',
    'SHELL': '/bin/bash',
    'SIMULATED_PBS_USER': 'tester',
}
"""The environment in which the commands of the captures were called."""

PUT_ASIDE = (
    (r'\b\d+(?=(\[[\d,-]*\])?\.pbshost1)', 'N'),
    (r'(?<=\.[oe])\d+(?=["\s.,|])', 'N'),
    (r'\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\b', 'DATE'),
    (r'\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3} [ \d]\d at \d\d:\d\d\b', 'STAMP'),
    (r'("(?:timestamp|history_timestamp|session_id)":\s*)(?:\d+|"")', r'\1N'),
    (r'("v?mem":\s*")\d+kb', r'\1Nkb'),
    (r'("(?:cpupercent)":\s*)\d+', r'\1N'),
    (r'("(?:cput|walltime)":\s*)"\d\d:\d\d:\d\d"', r'\1"CLOCK"'),
    (r'\b(walltime ?= ?)\d\d:\d\d:\d\d', r'\1CLOCK'),
    (r'\b(history_timestamp ?= ?)\d+', r'\1N'),
    (r'(?<=-a )\d{12}\b', 'MOMENT'),
    (r'\bpbshost1/\d+', 'pbshost1/SLOT'),
    (r'PBS_JOBCOOKIE=\w+', 'PBS_JOBCOOKIE=COOKIE'),
    (r'(?<=server )pbsanch|(?<=server )pbshost(?= )', 'SERVER'),
    (r'\S*/bin/(?=q\w+: )', 'BIN/'),
)


@dataclass(frozen=True)
class Capture:
    """One command that was run against a real PBS, and its answer."""

    command: list[str]
    stdin: bytes
    code: int
    out: str
    error: str

    @property
    def program(self) -> str:
        return self.command[0].rpartition('/')[2]


def load(name: str) -> Capture:
    """Read a capture; texts are bytes read as Latin-1."""
    text = (FOLDER / f'{name}.txt').read_bytes().decode('latin-1')
    head, _, rest = text.partition('--- stdout ---\n')
    fields = dict(re.findall(r'^# (\w[\w ]*): (.*)$', head, re.MULTILINE))
    command = ast.literal_eval(fields['cmd'].encode('latin-1').decode('utf-8'))
    error = rest.rpartition('--- stderr ---\n')[2]
    out = (FOLDER / f'{name}.stdout').read_bytes().decode('latin-1')
    return Capture(command, ast.literal_eval(fields.get('stdin', "b''")), int(fields['rc']), out, error)


def comparable(text: str, folder: Path, home: Path) -> str:
    """Put ids, times, usage and folders aside; the rest of a captured and of a simulated answer must be the same."""
    text = text.replace(str(folder), SUBMITTED_IN).replace(str(home), HOME)
    for pattern, replacement in PUT_ASIDE:
        text = re.sub(pattern, replacement, text)
    return text
