"""``qstat`` without ``-f``: the short table, and the wide one of ``-a``, ``-u``, ``-r`` and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import resources

if TYPE_CHECKING:
    from .job import Job

BLANK = ' -- '
SHORT_HEAD = """Job id            Name             User              Time Use S Queue
----------------  ---------------- ----------------  -------- - -----
"""
SHORT_HEAD_WIDE = """Job id                         Name            User             Time Use S Queue
-----------------------------  --------------- ---------------  -------- - ---------------
"""
COLUMNS = ('Job ID', 'Username', 'Queue', 'Jobname', 'SessID', 'NDS', 'TSK')
NARROW, WIDE = (15, 8, 8, 10, 6, 3, 3), (30, 15, 15, 15, 8, 4, 5)
"""Widths of the columns, without and with ``-w``."""


def _cut(text: str, width: int) -> str:
    """Cut a text that is too long; a star tells that it was cut."""
    return text if len(text) <= width else text[: width - 1] + '*'


def short_table(jobs: list[Job], wide: bool, head: bool) -> str:
    """Write the table of plain ``qstat``."""
    out = (SHORT_HEAD_WIDE if wide else SHORT_HEAD) if head else ''
    for job in jobs:
        name = job.values['Job_Name']
        width, limit, user = (30, 15, 15) if wide else (17, 16, 16)
        name = name[: limit - 1] + '*' if len(name) >= limit else name
        row = (
            f'{_cut(job.identifier, width):{width}} {name:{limit}} {_cut(job.owner, user):{user}}  '
            f'{_cut(job.used.get("cput", "0"), 8):>8} {job.state} {_cut(job.values["queue"], 16):{15 if wide else 16}}'
        )
        out += row + '\n'
    return out


def long_head(server: str, wide: bool) -> str:
    """Write the head of the long table."""
    widths = WIDE if wide else NARROW
    above = ' ' * (sum(widths) + len(widths))
    titles = ' '.join(f'{title:{width}}' for title, width in zip(COLUMNS, widths))
    dashes = ' '.join('-' * width for width in widths)
    return f"\n{server}: \n{above}Req'd  Req'd   Elap\n{titles} Memory Time  S Time\n{dashes} ------ ----- - -----\n"


def _size(text: str | None) -> str:
    """Shorten a size as PBS does: at most four digits, in the next unit where there are more."""
    if text is None:
        return BLANK
    number, unit = resources.size_in_bytes(text), 'b'
    for letter in ('b', 'kb', 'mb', 'gb', 'tb', 'pb'):
        unit = letter
        if text.endswith(letter) and letter != 'b':
            break
        if letter == 'b' and text.rstrip('b').isdigit():
            break
    value = -(-number // resources.UNITS[unit.rstrip('b')])
    while value > 9999:
        unit = {'b': 'kb', 'kb': 'mb', 'mb': 'gb', 'gb': 'tb', 'tb': 'pb'}[unit]
        value = -(-value // 1024)
    return f'{value}{unit}'


def long_table(jobs: list[Job], wide: bool, hosts: bool, comments: bool, one_line: bool) -> str:
    """Write the rows of the long table, with what ``-n`` and ``-s`` add below them or, with ``-1``, behind them."""
    out, widths = '', WIDE if wide else NARROW
    for job in jobs:
        shown, values = job.wanted.shown, job.values
        cells = [job.identifier, job.owner, values['queue'], values['Job_Name'], values.get('session_id', BLANK)]
        cells += [shown['nodect'], BLANK if shown['ncpus'] == '0' else shown['ncpus']]
        texts = [_cut(cell, width) for cell, width in zip(cells, widths)]
        row = ' '.join(f'{text:{width}}' for text, width in zip(texts[:4], widths))
        row += ''.join(f' {text:>{width}}' for text, width in zip(texts[4:], widths[4:]))
        asked, elapsed = shown.get('walltime', BLANK)[:5], job.used.get('walltime', BLANK)[:5]
        if 'cput' in shown:
            asked, elapsed = shown['cput'][:5], job.used.get('cput', BLANK)[:5]
        row += f' {_size(shown.get("mem")):>6} {asked:>5} {job.state} {elapsed:>5}'
        out += row + (' ' if one_line else '\n')
        if hosts:
            out += ('' if one_line else '   ') + values.get('exec_host', '--') + '\n'
        if comments and values.get('comment', BLANK):
            out += f'   {_comment(values.get("comment", BLANK), wide)}\n'
    return out


def _comment(text: str, wide: bool) -> str:
    limit = 114 if wide else 74
    return text if len(text) <= limit else text[: limit - 4] + '...'
