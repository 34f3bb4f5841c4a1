"""The pytest plugin: options, the fixtures `execparams` and `simulated_scheduler`, and a report at the end."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from psij_ext.core.attributes import JobAttributes
from psij_ext.testing import hooks, report
from psij_ext.testing.execparams import ExecParams
from psij_ext.testing.executor_conformance import ExecutorConformance
from psij_ext.testing.making import make_executor
from psij_ext.testing.schedulers import Choice, Scheduler, read_choices, why_silent
from psij_ext.testing.simulated import SIMULATED, SimulatedScheduler

# Open MPI refuses to run as root, and more processes than cores, unless it is told; other MPIs pass them over.
_MPIRUN_VARIABLES = ('OMPI_ALLOW_RUN_AS_ROOT', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM', 'OMPI_MCA_rmaps_base_oversubscribe')

# Where a test runs that is for none of the executors.
_NOWHERE = 'nowhere'

_choices = pytest.StashKey[list[Choice]]()
_mistake = pytest.StashKey[pytest.UsageError]()
_schedulers = pytest.StashKey[dict[str, Scheduler]]()
_began = pytest.StashKey[float]()
_described = pytest.StashKey[dict[str, str]]()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let a conftest.py say how a scheduler is reached."""
    pluginmanager.add_hookspecs(hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup('psij-ext', 'executors of psij_ext')
    add = group.addoption
    add('--executors', metavar='NAMES',
        help='the executors to test, with commas between them, such as local,slurm or slurm:srun with a launcher; '
             'auto: all that answer on this machine (default: auto)')
    add('--queue-name', metavar='NAME', help='the queue or partition for all test jobs')
    add('--account', metavar='NAME', help='the account that pays for the test jobs')
    add('--custom-attributes', metavar='JSON', type=_json_object,
        help='custom attributes of all test jobs, such as {"slurm.constraint": "gpu"}')
    add('--max-walltime', metavar='TIME', type=JobAttributes.parse_walltime,
        help='for sites that want a wall time: what to ask for where a test asks for none or more; hh:mm:ss or minutes')
    add('--work-directory', metavar='DIR', type=Path,
        help="where the files of the tests go, for sites whose nodes do not see this machine's temporary folder")
    add('--max-wait', metavar='SECONDS', type=float, default=60.0,
        help='how long a test waits for its job to start or to end (default: %(default)s)')


def _json_object(text: str) -> dict[str, object]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f'a JSON object is expected, not {text!r}')
    return value


def pytest_configure(config: pytest.Config) -> None:
    """Make our marks known, and leave out what takes minutes unless it is asked for."""
    config.stash[_began] = time.monotonic()
    config.addinivalue_line(
        'markers', 'soak: takes minutes; left out unless -m is given')
    config.addinivalue_line(
        'markers',
        'conformance(not_on=(), launchers=(), any_launcher=False): on which of the executors a test runs: not on '
        'these; with these launchers alone; once for each executor, because the launcher plays no part')
    if not config.option.markexpr:
        config.option.markexpr = 'not soak'
    if config.option.work_directory is not None:
        # A folder of our own, because pytest empties it.
        config.option.basetemp = config.option.work_directory.absolute() / time.strftime('psij-ext-tests-%Y%m%d-%H%M%S')


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes `execparams` on each executor that was asked for."""
    if 'execparams' not in metafunc.fixturenames:
        return
    config = metafunc.config
    if _choices not in config.stash:
        try:
            config.stash[_choices] = read_choices(config.option.executors or 'auto')
        except pytest.UsageError as error:
            # Raised later, because it would be reported for each file here.
            config.stash[_choices] = []
            config.stash[_mistake] = error
    mark = metafunc.definition.get_closest_marker('conformance')
    choices = _own_choices(metafunc.cls) or config.stash[_choices]
    chosen = select(choices, **(mark.kwargs if mark else {}))
    metafunc.parametrize('execparams', chosen or [_NOWHERE], ids=str, indirect=True)


def _own_choices(kind: object) -> list[Choice]:
    """Return the executors that a class of tests names itself."""
    if not (isinstance(kind, type) and issubclass(kind, ExecutorConformance) and kind.executor):
        return []
    if not isinstance(kind.executor, str):
        pytest.fail(f'{kind.__name__}.executor is the name of an installed executor, not {kind.executor!r}; '
                    '`psij-ext executors` shows the names', pytrace=False)
    try:
        return read_choices(kind.executor, f'{kind.__name__}.executor')
    except pytest.UsageError as error:
        pytest.fail(str(error), pytrace=False)


def select(choices: list[Choice], not_on: tuple[str, ...] = (), launchers: tuple[str, ...] = (),
            any_launcher: bool = False) -> list[Choice]:
    fitting = [choice for choice in choices
               if choice.executor not in not_on and (not launchers or choice.launcher in launchers)]
    if any_launcher:
        fitting = list({choice.executor: choice for choice in reversed(fitting)}.values())[::-1]
    return fitting


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that are not for any of the executors; to call them skipped would look like a gap."""
    left_out = [item for item in items
                if hasattr(item, 'callspec') and item.callspec.params.get('execparams') == _NOWHERE]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Find the schedulers that the collected tests need, all before the first test."""
    config = session.config
    if _mistake in config.stash:
        raise config.stash[_mistake]
    config.stash[_schedulers] = {}
    config.stash[_described] = {}
    if config.option.collectonly:
        return
    for name in dict.fromkeys(choice.executor for choice in map(_choice_of, session.items) if choice is not None):
        scheduler = config.hook.pytest_psij_ext_scheduler(executor_name=name, config=config) or Scheduler()
        with scheduler.reached():
            missing = why_silent(name)
        if missing is not None:
            words = ' '.join(missing.split())
            raise pytest.UsageError(f'--executors: {name} was asked for and does not answer: {words}')
        config.stash[_schedulers][name] = scheduler


def _choice_of(item: pytest.Item) -> Choice | None:
    choice = item.callspec.params.get('execparams') if hasattr(item, 'callspec') else None
    return choice if isinstance(choice, Choice) else None


@pytest.fixture
def execparams(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ExecParams]:
    """One of the executors that were asked for, with all that its jobs need."""
    choice: Choice = request.param
    option = request.config.option
    scheduler = request.config.stash[_schedulers][choice.executor]
    with scheduler.reached() as patch:
        # The local executor counts the cores that jobs use there; those of the user's other jobs are not ours.
        patch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
        report.note(request, str(choice), _describe(request.config, choice.executor, tmp_path))
        if choice.launcher == 'mpirun':
            for name in _MPIRUN_VARIABLES:
                patch.setenv(name, '1')
        with ExecParams(
                choice.executor, choice.launcher, tmp_path, queue_name=option.queue_name, account=option.account,
                custom_attributes=option.custom_attributes, max_walltime=option.max_walltime, max_wait=option.max_wait,
                known_queue=option.queue_name or scheduler.queue_name) as params:
            yield params


def _describe(config: pytest.Config, executor_name: str, folder: Path) -> str:
    known = config.stash[_described]
    if executor_name not in known:
        with make_executor(executor_name, work_directory=folder) as executor:
            known[executor_name] = report.describe(executor)
    return known[executor_name]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write what was tested and what came of it, for a bug report."""
    told = [*report.lines(config, terminalreporter.stats, time.monotonic() - config.stash[_began])]
    if told:
        terminalreporter.section('psij-ext, for a bug report')
        for line in told:
            terminalreporter.line(line)


@pytest.fixture
def simulated_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., SimulatedScheduler]]:
    """Start simulated schedulers, whose commands a test and what it calls then find on PATH.

    They are called by the name of the executor and by their settings, and stop at the end of the test::

        def test_workflow(simulated_scheduler):
            pbs = simulated_scheduler('pbspro', history=True)
            executor = JobExecutor.get_instance('pbspro')
            ...
            pbs.down()

    Jobs really run, on this machine, with a home directory of their own; what is kept of them goes with the test.
    """
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    monkeypatch.delenv('PSIJ_EXT_WORK_DIRECTORY', raising=False)
    with contextlib.ExitStack() as running:

        def start(name: str = 'pbspro', **settings: Any) -> SimulatedScheduler:
            if name not in SIMULATED:
                raise ValueError(f'simulated_scheduler: one of {", ".join(SIMULATED)} is expected, not {name!r}')
            # The login files of whoever runs the tests may take locks, and are not meant to be killed with them.
            home = tmp_path / 'home'
            home.mkdir(exist_ok=True)
            scheduler = running.enter_context(
                SIMULATED[name](tmp_path / f'simulated-{name}', **{'home': str(home), **settings}))
            monkeypatch.setenv('PATH', scheduler.path)
            return scheduler

        yield start
