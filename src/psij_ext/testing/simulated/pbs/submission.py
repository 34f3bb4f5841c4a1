"""What ``qsub`` makes of its command line and of the ``#PBS`` lines of a script (PBS Professional's qsub(1B))."""

from __future__ import annotations

import os
import re
import stat
import time
from dataclasses import dataclass, field

from . import checks, resources
from .arguments import Arguments, parse
from .refusal import Refusal
from .texts import to_path
from .variables import collect

LETTERS = 'a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:q:r:R:S:u:v:VW:XzP:'
COMMAND_LINE, DIRECTIVE = 2, 1
"""What outranks what."""

USAGE = """usage: qsub [-a date_time] [-A account_string] [-c interval]
\t[-C directive_prefix] [-e path] [-f ] [-h ] [-I [-X]] [-j oe|eo] [-J X-Y[:Z]]
\t[-k keep] [-l resource_list] [-m mail_options] [-M user_list]
\t[-N jobname] [-o path] [-p priority] [-P project] [-q queue] [-r y|n]
\t[-R o|e|oe] [-S path] [-u user_list] [-W otherattributes=value...]
\t[-v variable_list] [-V ] [-z] [script | -- command [arg1 ...]]
       qsub --version
"""

ATTRIBUTES = {
    'A': 'Account_Name',
    'c': 'Checkpoint',
    'j': 'Join_Path',
    'k': 'Keep_Files',
    'm': 'Mail_Points',
    'M': 'Mail_Users',
    'N': 'Job_Name',
    'p': 'Priority',
    'P': 'project',
    'R': 'Remove_Files',
    'S': 'Shell_Path_List',
    'u': 'User_List',
}
PATHS = {'o': 'Output_Path', 'e': 'Error_Path'}


@dataclass
class Submission:
    """One submission as it reaches the server."""

    folder: str
    environment: dict[str, str]
    values: dict[str, str] = field(default_factory=dict)
    """PBS attributes that options set, checked as far as ``qsub`` checks them."""
    resources: dict[str, str] = field(default_factory=dict)
    variables: list[str] = field(default_factory=list)
    script: str | None = None
    command: list[str] = field(default_factory=list)
    destination: str = ''
    quiet: bool = False
    _ranks: dict[str, int] = field(default_factory=dict)
    _prefix: str | None = None
    _requested: str | None = None
    _everything: bool = False

    @property
    def blocks(self) -> bool:
        return 'block' in self.values

    def read_options(self, arguments: Arguments, rank: int) -> None:
        """Take options over; one from the command line outranks a directive, a later one an earlier one."""
        for letter, value in arguments.options:
            if letter == 'l':
                for name, amount in resources.parse_list(value):
                    if rank == COMMAND_LINE or name not in self.resources:
                        self.resources[name] = amount
            elif letter == 'W':
                self._read_extended(value, rank)
            elif self._outranks(letter, rank):
                self._read_option(letter, value)

    def _outranks(self, name: str, rank: int) -> bool:
        if rank < self._ranks.get(name, 0):
            return False
        self._ranks[name] = rank
        return True

    def _read_option(self, letter: str, value: str) -> None:
        if letter in ATTRIBUTES:
            self.values[ATTRIBUTES[letter]] = value
        elif letter in PATHS:
            self.values[PATHS[letter]] = value
        elif letter == 'a':
            self.values['Execution_Time'] = str(checks.moment(value, time.time()))
        elif letter == 'h':
            self.values['Hold_Types'] = 'u'
        elif letter == 'J':
            self.values['array_indices_submitted'], percent, most = value.partition('%')
            if percent:
                self.values['max_run_subjobs'] = most
        elif letter == 'r':
            if value not in ('y', 'n'):
                raise Refusal(2, 'illegal -r value', usage=True)
            self.values['Rerunable'] = 'True' if value == 'y' else 'False'
        elif letter == 'I':
            raise Refusal(1, 'interactive jobs are not simulated')
        elif letter == 'C':
            self._prefix = value
        elif letter == 'q':
            self.destination = value
        elif letter == 'v':
            self._requested = value
        elif letter == 'V':
            self._everything = True
        elif letter == 'z':
            self.quiet = True

    def _read_extended(self, value: str, rank: int) -> None:
        """Read ``-W name=value[,name=value...]``; a value goes on until the next name."""
        parts = re.split(r'(?:^|,)\s*(\w+)=', value.strip())
        if len(parts) < 3 or parts[0]:
            raise Refusal(2, 'illegal -W value', usage=True)
        for name, text in zip(parts[1::2], parts[2::2]):
            if name == 'block' and text.lower() not in ('true', 'false'):
                raise Refusal(2, 'illegal -W value', usage=True)
            if self._outranks(name, rank) and not (name == 'block' and text.lower() == 'false'):
                self.values[name] = 'True' if name == 'block' else text

    def read_script(self, text: str) -> None:
        """Take the directives of a script over: ``#PBS`` lines before the first line that is no comment."""
        self.script = text
        prefix = self.environment.get('PBS_DPREFIX', '#PBS') if self._prefix is None else self._prefix
        if not prefix:
            return
        lines = iter(text.splitlines(keepends=True))
        for line in lines:
            directive = line.lstrip()
            if directive.startswith(prefix):
                while directive.rstrip().endswith('\\'):
                    directive = directive.rstrip()[:-1] + next(lines, '')
                self._read_directive(directive[len(prefix) :])
            elif directive and not line.startswith(':') and not directive.startswith('#'):
                return

    def _read_directive(self, text: str) -> None:
        words = split_words(text)
        arguments = parse('qsub', words, LETTERS)
        error = 'directive error: ' + ''.join(f'{word} ' for word in words) + '\n'
        if arguments.errors or arguments.operands or arguments.dashes:
            raise Refusal(1, ''.join(arguments.errors) + f'qsub: {error}')
        try:
            self.read_options(arguments, DIRECTIVE)
        except Refusal as refusal:
            raise Refusal(1, f'qsub: {refusal.message}\nqsub: {error}') from refusal

    def complete(self, name: str, pass_environment: bool, server: str) -> None:
        """Make the checks that ``qsub`` makes last, and collect the variables.

        :param name: the job's name where no option gave one
        :param pass_environment: whether ``-V`` works
        :param server: the server's host
        """
        hosts = ('localhost', server, os.uname().nodename)
        if 'PBS_SHELL' in self.environment:
            self.values.setdefault('Shell_Path_List', self.environment['PBS_SHELL'])
        self.values.setdefault('Job_Name', name)
        array = 'array_indices_submitted' in self.values
        if array and self.values.get('Rerunable') == 'False':
            raise Refusal(2, ' cannot submit non-rerunable Array Job', usage=True)
        if not array and 'j' in self.values.get('Mail_Points', ''):
            raise Refusal(1, "mail option 'j' can not be used without array job")
        self.variables = collect(
            self.environment, self.folder, self._requested, self._everything and pass_environment
        )
        for letter, attribute in PATHS.items():
            if attribute in self.values:
                self.values[attribute] = checks.output_path(letter, self.values[attribute], self.folder, hosts)
        checks.check_attributes(self.values)
        self.resources = {name: resources.check(name, value) for name, value in self.resources.items()}


def split_words(text: str) -> list[str]:
    """Split the rest of a directive into words: quotes group, a backslash protects the next character."""
    words: list[str] = []
    word, inside, position = '', False, 0
    while position < len(text):
        char = text[position]
        position += 1
        if char in '\'"':
            end = text.find(char, position)
            if end < 0:
                raise Refusal(1, 'unmatched \0')
            word, inside, position = word + text[position:end], True, end + 1
        elif char == '\\' and position < len(text):
            word, inside, position = word + text[position], True, position + 1
        elif char.isspace():
            words, word, inside = words + [word] * inside, '', False
        else:
            word, inside = word + char, True
    return words + [word] * inside


def read_script_file(path: str, folder: str) -> str:
    """Read a script as ``qsub`` does, or refuse as it does."""
    file = to_path(path if path.startswith('/') else f'{folder}/{path}')
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise Refusal(1, 'script not a file')
        return file.read_bytes().decode('latin-1')
    except FileNotFoundError as error:
        raise Refusal(1, 'script file:: No such file or directory') from error
    except PermissionError as error:
        raise Refusal(8, 'opening script file:: Permission denied') from error
