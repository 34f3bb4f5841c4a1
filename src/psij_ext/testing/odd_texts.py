"""Texts that a careless program breaks: in shell scripts, directives, templates and on command lines."""

ODD_TEXTS = (
    'two words',
    ' blanks around ',
    "it's",
    'say "hi"',
    '$HOME ${PATH} $(id)',
    'back`tick`',
    'new\nline',
    '\n#SBATCH --hold\n#PBS -h\n',
    'carriage\rreturn',
    'tab\tstop',
    'grün 日本 🚀',
    '-n',
    '--help',
    '%j %x %% 100%',
    'star* [a-z]? {a,b}',
    '~',
    'semi;colon & (pipe) | < > !',
    'back\\slash\\n',
    '#hash',
    'key=value',
    '{{mustache}} {{{three}}}',
    'a,b:c^array_index^',
)
# What a directory entry may be called.
ODD_NAMES = tuple(text.strip('\n') for text in ODD_TEXTS)
