"""The command `psij-ext executors`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import click

from psij_ext.cli.choice import choose
from psij_ext.cli.errors import cause, examples, say, told
from psij_ext.cli.options import json_option
from psij_ext.cli.output import print_json, print_table
from psij_ext.cli.verbosity import verbose_option
from psij_ext.core.interfaces import JobExecutor
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import PsijExtError
from psij_ext.executors.batch import BatchSchedulerExecutor
from psij_ext.plugins import Descriptor, executors
from psij_ext.runtime.command import find_program

# A scheduler that is there answers far sooner.
_SECONDS_TO_ANSWER = 20
_HEADINGS = ('executor', 'aliases', 'version', 'command', 'answers', 'scheduler', 'default')


@dataclass
class Found:
    """What there is of one executor.

    :param name: its name.
    :param aliases: its other names.
    :param version: its version.
    :param default: whether jobs go there if nothing else is asked for.
    :param broken: why it cannot be loaded.
    :param command: the program that submits to its scheduler, where it was found on this machine.
    :param answers: whether its scheduler answers; None where it was not asked.
    :param trouble: why it does not.
    :param scheduler_version: the version of the scheduler, where it says so.
    """

    name: str
    aliases: list[str]
    version: str
    default: bool
    broken: str | None = None
    command: str | None = None
    answers: bool | None = None
    trouble: str | None = None
    scheduler_version: str | None = None


@click.command('executors', epilog=examples(
    'psij-ext executors',
    "psij-ext executors --json | jq -r '.executors[] | select(.answers) | .name'"))
@json_option
@verbose_option
def command(as_json: bool) -> None:
    """Show which executors are installed, and what this machine has.

    For each executor: whether the commands of its scheduler are found here, whether the scheduler answers, and its
    version. Plugins that cannot be loaded are shown with the reason.
    """
    default = choose(None).name
    descriptors = sorted(executors.descriptors(), key=lambda each: (each.name, each.version))
    found = [_inspect(descriptor, default) for descriptor in descriptors]
    unreadable = {origin: cause(report) for origin, report in executors.problems().items()}
    if as_json:
        print_json({'executors': [asdict(each) for each in found], 'unreadable': unreadable})
        return
    print_table(_HEADINGS, [_row(each) for each in found])
    for each in found:
        if each.broken or each.trouble:
            say(f'{each.name}: {each.broken or each.trouble}')
    for origin, why in unreadable.items():
        say(f'{origin}: {why}')


def _row(found: Found) -> list[str]:
    answers = 'broken' if found.broken else {None: '', True: 'yes', False: 'no'}[found.answers]
    return [found.name, ', '.join(found.aliases), found.version, found.command or '', answers,
            found.scheduler_version or '', 'default' if found.default else '']


def _inspect(descriptor: Descriptor, default: str) -> Found:
    found = Found(descriptor.name, list(descriptor.aliases), str(descriptor.version), default in descriptor.names)
    try:
        with JobExecutor.get_instance(descriptor.name, f'=={descriptor.version}') as executor:
            if isinstance(executor, BatchSchedulerExecutor):
                _ask_scheduler(executor, found)
            else:
                _ask(executor, found)
    except PsijExtError as error:
        found.broken = told(error)
    except Exception as error:  # the code of a plugin, whose fault must not hide the other executors
        found.broken = f'{type(error).__name__}: {error}'
    return found


def _ask_scheduler(executor: BatchSchedulerExecutor, found: Found) -> None:
    submit_command = executor.get_submit_command(Job(JobSpec('true')), Path('script'))[0]
    program = find_program(submit_command)
    if program is None:
        return
    found.command = str(program)
    executor.config = executor.config_class(command_timeout=_SECONDS_TO_ANSWER)
    site_command = executor.get_site_command()
    if site_command is None:
        _ask(executor, found)
        return
    try:
        site = executor.parse_site(executor.run_query(site_command))
    except PsijExtError as error:
        found.answers, found.trouble = False, told(error)
    else:
        found.answers = True
        # The commands' own words for it, where they have some.
        try:
            found.scheduler_version = executor.scheduler_version()
        except PsijExtError:
            found.scheduler_version = '.'.join(map(str, site.version)) or None


def _ask(executor: JobExecutor, found: Found) -> None:
    try:
        executor.list()
    except PsijExtError as error:
        found.answers, found.trouble = False, told(error)
    else:
        found.answers = True
