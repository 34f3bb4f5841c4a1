"""Resources of a job: ``-l`` lists, ``select`` statements, times and sizes (PBS Professional's pbs_resources(7))."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .refusal import Refusal, SubmissionRefusal

TIMES = ('walltime', 'cput', 'pcput', 'min_walltime', 'max_walltime', 'soft_walltime')
SIZES = ('mem', 'vmem', 'pmem', 'pvmem', 'file')
NUMBERS = ('ncpus', 'mpiprocs', 'ompthreads', 'ngpus', 'nice')
TEXTS = ('software', 'host', 'vnode', 'arch', 'site')
IN_CHUNKS = ('ncpus', 'mem', 'vmem', 'mpiprocs', 'ompthreads', 'ngpus', 'host', 'vnode', 'arch')
"""Resources of a chunk of ``select``; all others belong to the whole job."""

PLACE = re.compile(r'(free|pack|scatter|vscatter)?:?(excl|exclhost|shared)?:?(group=\w+)?')
SIZE = re.compile(r'(\d+)([kmgtp]?[bw]?)', re.IGNORECASE)
UNITS = {'': 1, 'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30, 't': 1 << 40, 'p': 1 << 50}


@dataclass(frozen=True)
class Chunk:
    """What one chunk of a ``select`` wants of one node."""

    amounts: dict[str, str]

    def number(self, name: str) -> int:
        return int(self.amounts.get(name, '1' if name == 'ncpus' else '0'))

    @property
    def memory(self) -> int:
        """Memory in kB, rounded up."""
        return -(-size_in_bytes(self.amounts.get('mem', '0')) // 1024)


@dataclass(frozen=True)
class Wanted:
    """The resources of a job: as shown in ``Resource_List``, and as they are placed on nodes."""

    shown: dict[str, str]
    chunks: tuple[Chunk, ...]

    @property
    def walltime(self) -> int | None:
        return seconds(self.shown['walltime']) if 'walltime' in self.shown else None


def seconds(text: str) -> int:
    """Read ``[[hours:]minutes:]seconds[.fraction]``; a fraction is rounded up."""
    if not re.fullmatch(r'(\d+:){0,2}\d+(\.\d*)?', text):
        raise ValueError(text)
    total = 0.0
    for part in text.split(':'):
        total = total * 60 + float(part)
    return int(-(-total // 1))


def clock(total: float) -> str:
    """Write seconds as PBS shows them: ``00:01:30``, with more digits for the hours where needed."""
    whole = int(total)
    return f'{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}'


def size_in_bytes(text: str) -> int:
    """Read a size such as ``5zz`` never, ``10GB`` and ``512kw`` (words of eight bytes) always."""
    match = SIZE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    unit = match[2].lower()
    return int(match[1]) * UNITS[unit.rstrip('bw')] * (8 if unit.endswith('w') else 1)


def _normal(name: str, value: str) -> str:
    """Check one value as the client does and write it as PBS shows it."""
    try:
        if name in TIMES:
            return clock(seconds(value))
        if name in SIZES:
            size_in_bytes(value)
            return value.lower() if value[-1].lower() in 'bw' else value.lower() + 'b'
        if name in NUMBERS and int(value) < (-1 << 31 if name == 'nice' else 0):
            raise ValueError(value)
    except ValueError as error:
        raise Refusal(166, f'Illegal attribute or resource value Resource_List.{name}') from error
    return value


def parse_list(text: str) -> list[tuple[str, str]]:
    """Take the value of one ``-l`` apart; values are checked as far as the client checks them."""
    pairs = []
    for item in re.findall(r'''(?:[^,"']|"[^"]*"|'[^']*')+''', text):
        name, _, value = item.strip().partition('=')
        if not name.strip():
            raise Refusal(2, 'illegal -l value', usage=True)
        pairs.append((name.strip(), value.strip().strip('"\'')))
    return pairs


def check(name: str, value: str) -> str:
    """Check what the client knows of a resource; returns the value as PBS shows it, or '' where it says nothing."""
    wrong = Refusal(166, f'Illegal attribute or resource value Resource_List.{name}')
    if name == 'select' and any(not re.fullmatch(r'\d+|(\d+:)?\w+=[^:]+(:\w+=[^:]+)*', c) for c in value.split('+')):
        raise wrong
    if name == 'place' and not (value and PLACE.fullmatch(value)):
        raise wrong
    return _normal(name, value) if value else ''


def _chunks(select: str, gpus: bool) -> list[Chunk]:
    """Read a ``select`` as the server does; every chunk is repeated as often as it is wanted."""
    chunks = []
    for text in select.split('+'):
        first, _, others = text.partition(':')
        count, rest = ('1', text) if '=' in first else (first, others)
        if count == '0':
            raise SubmissionRefusal(166, 'Illegal attribute or resource value')
        amounts = dict(item.partition('=')[::2] for item in rest.split(':') if item)
        for name, value in amounts.items():
            if name in TIMES + SIZES + NUMBERS + TEXTS and name not in IN_CHUNKS:
                raise SubmissionRefusal(4, f'Resource invalid in "select" specification: {name}')
            if name not in IN_CHUNKS or (name == 'ngpus' and not gpus):
                raise SubmissionRefusal(187, f'Unknown resource: {name}')
            try:
                _normal(name, value)
            except Refusal as error:
                raise SubmissionRefusal(166, f'Illegal attribute or resource value select.{name}') from error
        chunks += [Chunk(amounts)] * int(count)
    return chunks


def _from_nodes(nodes: str, memory: str | None) -> str:
    """Translate the old ``-l nodes=N:ppn=M`` into a ``select``."""
    parts = []
    for text in nodes.split('+'):
        match = re.fullmatch(r'(\d+)(?::ppn=(\d+))?', text)
        if match is None:
            raise SubmissionRefusal(187, f'Unknown resource: {text.partition(":")[0]}')
        share = f':mem={size_in_bytes(memory) // 1024 // int(match[1])}KB' if memory else ''
        processes = f':mpiprocs={match[2]}' if match[2] else ''
        parts.append(f'{match[1]}:ncpus={match[2] or 1}{share}{processes}')
    return '+'.join(parts)


def _total(chunks: list[Chunk], name: str) -> str | None:
    """Sum a resource over the chunks that name it, sizes in the smallest unit that occurs."""
    named = [chunk.amounts[name] for chunk in chunks if name in chunk.amounts]
    if name == 'ncpus':
        return str(sum(chunk.number(name) for chunk in chunks))
    if not named:
        return None
    if name in NUMBERS:
        return str(sum(int(value) for value in named))
    unit = min((value.lower().lstrip('0123456789') or 'b' for value in named), key=lambda u: UNITS[u.rstrip('bw')])
    return f'{sum(size_in_bytes(value) for value in named) // UNITS[unit.rstrip("bw")]}{unit}'


def settle(asked: dict[str, str], gpus: bool) -> Wanted:
    """Complete a job's resources as the server does at submission.

    :param asked: the checked values of ``-l``; empty ones say nothing
    :param gpus: whether the server knows the resource ``ngpus``
    """
    shown = {name: value for name, value in asked.items() if value}
    for name in asked:
        if name not in TIMES + SIZES + NUMBERS + TEXTS + ('select', 'place', 'nodes') or (name == 'ngpus' and not gpus):
            raise SubmissionRefusal(187, f'Unknown resource Resource_List.{name}')
        if name in ('ncpus', 'mem', 'vmem', 'mpiprocs', 'ompthreads', 'ngpus') and 'select' in shown:
            message = f'"-lresource=" cannot be used with "select" or "place", resource is: {name}'
            raise SubmissionRefusal(5, message)
    if 'select' in shown and 'nodes' in shown:
        raise SubmissionRefusal(6, 'Cannot be used with select or place: nodes')
    if 'place' in shown and 'select' not in shown:
        raise SubmissionRefusal(7, 'Cannot have "place" without "select"')
    if 'nodes' in shown:
        shown['select'], shown['place'] = _from_nodes(shown['nodes'], shown.get('mem')), 'scatter'
    elif 'select' in shown:
        shown.setdefault('place', 'free')
    else:
        shown.setdefault('ncpus', '1')
        named = (f'{name}={shown[name]}' for name in sorted(shown) if name in IN_CHUNKS)
        shown['select'], shown['place'] = '1:' + ':'.join(named), 'pack'
    chunks = _chunks(shown['select'], gpus)
    for name in ('ncpus', 'mem', 'mpiprocs', 'ngpus'):
        total = _total(chunks, name)
        if total is not None and not (name in shown and 'nodes' not in shown):
            shown[name] = total
    shown['nodect'] = str(len(chunks))
    return Wanted({name: shown[name] for name in sorted(shown)}, tuple(chunks))
