"""Descriptions of jobs that a careless library would break or obey, and what tells whether the job was as described.

The job is a program that tells byte for byte how it was started. Many of the texts would, if any shell read them,
touch the file that the variable `CANARY` names; whoever runs the jobs sets that variable, and the file must not appear.
"""

from __future__ import annotations

import json
import os
import reprlib
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import StageIn, StageOut
from psij_ext.testing.conformance.test_environment import RESERVED
from psij_ext.testing.odd_texts import ODD_TEXTS

CANARY = 'PSIJ_CANARY'
_SING = f': >"${CANARY}"'  # a file name can hold it, and it needs no program
# Each does it in the place that it is made for: unquoted, in one kind of quotes, evaluated twice, as a number, ...
INJECTIONS = (
    f'$({_SING})', f'`{_SING}`', f'; {_SING} #', f"' ; {_SING}; '", f'" ; {_SING}; "', f'\n{_SING}\n', f'\r\n{_SING}\n',
    f'& {_SING}', f'| {_SING}', f'\\$({_SING})', f"\\' ; {_SING} #", f"'$({_SING})'", f'"$({_SING})"', f'${{x:=$({_SING})}}',
    f'$((x[$({_SING})]))', f'x[$({_SING})]', f'<({_SING})', f') ; {_SING} ; (:', f'}} ; {_SING}', f'() {{ :; }}; {_SING}',
    f"$'\\x27' ; {_SING}", f'{{{{{{$({_SING})}}}}}}', f'\nEOF\n{_SING}\n', f'\\\n{_SING}\n', f'@( $({_SING})', f'-e {_SING}')
# What schedulers put something else in place of, in the names of files and in directives (sbatch(1), qsub(1B)).
PATTERNS = ('%j', '%A_%a', '%5t%%n', '%x.%N', '\\%j', '%', '%%', '^array_index^', '$PBS_JOBID', '${SLURM_JOB_ID}', 'x\\', '\\\\')
SPECIAL = ('', ' ', '-', '--', '-x', '~', '~root', '!', '!!', '*', '?', '[!a]', '=', ':', '{}', '{{x}}', '{{{x}}}', '{{#x}}', '\n',
           'x\n', 'x\n\n', '\t', '\r', '\x01', '\x1b[31m', '\x7f', '\udcff', '\udcc3(', '\u2028', '\ufeff', 'e\u0301', '\U0001f680')
# Whatever a command line can hold: all characters but NUL, and bytes that are no UTF-8 as Python carries them.
CARRIED = st.text(st.characters(exclude_characters='\0', exclude_categories=('Cs',))
                  | st.sampled_from([chr(0xdc00 + byte) for byte in range(0x80, 0x100)])
                  | st.sampled_from('\'"\\$`!\n\r\t\x1b\x7f *?[]{}~#&;|<>()=%-abc0'), max_size=40)
_KNOWN = st.sampled_from([*ODD_TEXTS, *INJECTIONS, *PATTERNS, *SPECIAL])
TEXTS = _KNOWN | CARRIED | st.lists(_KNOWN | CARRIED, min_size=2, max_size=4).map(''.join)
# Longest texts of 100 kB: what they are made of is short, so that there is not too much to choose.
_LONG = st.builds(lambda text, size: (text * size)[:size], TEXTS.filter(bool), st.sampled_from([5_000, 100_000])).map(
    lambda text: as_bytes(text)[:100_000].decode('utf-8', 'surrogateescape'))
_MOSTLY_SHORT = st.one_of(*[TEXTS] * 15, _LONG)
# bash(1), "Shell Variables", env(1), ld.so(8): those that programs on the way might heed.
_NAMES_THAT_MEAN_SOMETHING = (
    *RESERVED, 'PATH', 'HOME', 'LD_PRELOAD', 'ENV', 'PS1', 'PS4', 'PROMPT_COMMAND', 'BASH_FUNC_x%%', 'BASH_FUNC_cd%%', 'BASH_COMPAT',
    'BASH_XTRACEFD', 'BASHPID', 'BASH_VERSINFO', 'FUNCNAME', 'DIRSTACK', 'PIPESTATUS', 'OPTIND', 'REPLY', 'CDPATH', 'GLOBIGNORE',
    'TMOUT', 'LC_ALL', 'TZ', 'TMPDIR', 'SLURM_JOB_ID', 'SBATCH_EXPORT', 'PBS_JOBID', 'psij_folder', 'psij_code', 'PSIJ_NODEFILE',
    'a.b', 'a-b', '-i', '--', '-u', '1', ' ', 'x y', '$(id)', '\n', 'ü', '\udcff', '{{x}}', '*')
_NAMES = st.sampled_from(_NAMES_THAT_MEAN_SOMETHING) | TEXTS.map(lambda text: text.replace('=', '')).filter(
    lambda name: name and not name.startswith('LD_'))
_LONGEST_NAME = 200
# What a hostile job has files for: its directory, and in there its program, input, output, errors, the scripts around the
# launch, a file that is staged in, and what that is called then.
_FILES = 9
_EVERY_BYTE = bytes(range(256))
_shown = reprlib.Repr()
_shown.maxstring = _shown.maxother = 300
_shown.maxdict = _shown.maxlist = 20
_PROGRAM = """#!{python} -IS
import json, os, sys
def read(path):
    with open(path, 'rb') as file:
        return file.read().decode('latin-1')
sys.stdout.write(json.dumps(dict(
    words=read('/proc/self/cmdline'), environment=read('/proc/self/environ'), directory=os.getcwdb().decode('latin-1'),
    input=sys.stdin.buffer.read().decode('latin-1'))))
sys.stdout.flush()
sys.stderr.buffer.write(bytes(range(256)))
"""


def as_bytes(text: str) -> bytes:
    return text.encode('utf-8', 'surrogateescape')


def file_name(text: str) -> str:
    """Make a name of a directory entry out of any text."""
    name = as_bytes(text.replace('/', '|'))[:_LONGEST_NAME].decode('utf-8', 'surrogateescape')
    return f'x{name}' if name in ('', '.', '..') else name


class Ground:
    """Where hostile jobs run.

    :param folder: a folder for their program and the canary.
    """

    def __init__(self, folder: Path) -> None:
        self.program, self.canary = folder / 'program', folder / 'canary'
        self.program.write_text(_PROGRAM.format(python=sys.executable))
        self.program.chmod(0o755)

    @property
    def variables(self) -> dict[str, str]:
        """What whoever runs the jobs must have in the environment."""
        return {CANARY: str(self.canary)}


@dataclass(frozen=True, repr=False)
class Hostile:
    """A job that tells how it was started.

    :param files: the names of its files.
    :param relative: whether the paths of its files are given as relative ones.
    :param joined: whether its output and its errors go to one file.
    :param inherited: what is in the environment of whoever submits it.
    """

    arguments: list[str]
    environment: dict[str, str]
    files: list[str]
    input: bytes
    name: str
    comment: str
    relative: bool
    joined: bool
    inherited: dict[str, str]

    def __repr__(self) -> str:
        return f'Hostile({_shown.repr(vars(self))})'

    def spec(self, root: Path, ground: Ground, *, stages: bool = True) -> JobSpec:
        """Make the files of the job, and return its description.

        :param root: a folder that the job has for itself.
        :param stages: whether files are staged, and cleaned up.
        """
        directory, program, stdin, stdout, stderr, pre, post, source, staged = self._paths(root)
        directory.mkdir()
        # A link, because a program that is open for writing in another process cannot be started.
        program.symlink_to(ground.program)
        stdin.write_bytes(self.input)
        pre.write_text('SEEN_BEFORE=yes\n')
        post.write_bytes(as_bytes(f'printf %s "$SEEN_BEFORE" > {shlex.quote(str(root))}/after\n'))
        source.write_bytes(_EVERY_BYTE)
        given = (lambda path: Path(path.name)) if self.relative else (lambda path: path)
        staging = {
            'stage_in': {StageIn(source, given(staged))}, 'stage_out': {StageOut(given(staged), root / 'out' / staged.name)},
            'cleanup': {given(staged)}}
        return JobSpec(
            f'./{program.name}' if self.relative else str(program), self.arguments, directory, self.name,
            environment=self.environment, stdin_path=given(stdin), stdout_path=given(stdout),
            stderr_path=given(stdout if self.joined else stderr), pre_launch=pre, post_launch=post,
            attributes=JobAttributes(account=self.comment, custom_attributes={'slurm.comment': self.comment}),
            **(staging if stages else {}))  # type: ignore[arg-type]

    def check(self, root: Path, *, stages: bool = True) -> None:
        """Make sure that the job was started as it was described, and wrote where it was told to."""
        directory, program, stdin, stdout, stderr, pre, post, source, staged = self._paths(root)
        assert {*directory.iterdir()} == {program, stdin, stdout, pre, post, source, stdout if self.joined else stderr}
        told, rest = _divide(stdout.read_bytes())
        assert self.joined or rest == b''
        errors = rest if self.joined else stderr.read_bytes()
        # ld.so says that it cannot load what it is told to, and goes on.
        assert errors == _EVERY_BYTE or ('LD_PRELOAD' in self.environment and errors.endswith(_EVERY_BYTE))
        words = told['words'].split(b'\0')[:-1]
        assert words[3:] == [*map(as_bytes, self.arguments)]
        # A launcher may look up a relative path itself.
        assert os.path.normpath(os.path.join(told['directory'], words[2])) == os.fsencode(program)
        environment = [item.partition(b'=')[::2] for item in told['environment'].split(b'\0')[:-1]]
        given = {as_bytes(name): as_bytes(value) for name, value in {**self.inherited, **self.environment}.items()}
        assert sorted(item for item in environment if item[0] in given) == sorted(given.items())
        assert told['directory'] == os.fsencode(directory)
        assert told['input'] == self.input
        assert not stages or (root / 'out' / staged.name).read_bytes() == _EVERY_BYTE
        assert (root / 'after').read_text() == 'yes'

    def _paths(self, root: Path) -> list[Path]:
        return [root / self.files[0], *(root / self.files[0] / name for name in self.files[1:])]


def _divide(output: bytes) -> tuple[dict[str, bytes], bytes]:
    """Divide what a job wrote into what its program tells, and the rest."""
    text = output.decode('latin-1')
    start = max(text.find('{"words"'), 0)
    told, end = json.JSONDecoder().raw_decode(text, start)
    return {name: value.encode('latin-1') for name, value in told.items()}, (text[:start] + text[end:]).encode('latin-1')


HOSTILE_JOBS = st.builds(
    Hostile, arguments=st.lists(_MOSTLY_SHORT, max_size=8), environment=st.dictionaries(_NAMES, _MOSTLY_SHORT, max_size=6),
    files=st.lists(TEXTS.map(file_name), min_size=_FILES, max_size=_FILES, unique=True), input=st.binary(max_size=50),
    name=TEXTS.filter(bool), comment=TEXTS.filter(bool), relative=st.booleans(), joined=st.booleans(),
    inherited=st.dictionaries(st.sampled_from(['PSIJ_EXT_HOSTILE_1', 'PSIJ_EXT_HOSTILE_2']), TEXTS))
