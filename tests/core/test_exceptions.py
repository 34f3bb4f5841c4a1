from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from psij_ext import exceptions
from psij_ext.exceptions import (
    BrokenPlugin,
    CommandError,
    CommandNotFound,
    CommandTimeout,
    ControlUncertain,
    FolderUnreadable,
    IndexBroken,
    IndexLocked,
    IndexUnavailable,
    InvalidJobException,
    NotAllCancelled,
    ParseError,
    PluginError,
    PsijExtError,
    SubmitException,
    SubmitUncertain,
    UnknownPlugin,
)  # fmt: skip

TREE = {
    PsijExtError: Exception,
    InvalidJobException: PsijExtError,
    SubmitException: PsijExtError,
    SubmitUncertain: SubmitException,
    ControlUncertain: SubmitException,
    NotAllCancelled: SubmitException,
    CommandError: PsijExtError,
    CommandNotFound: CommandError,
    CommandTimeout: CommandError,
    ParseError: PsijExtError,
    FolderUnreadable: PsijExtError,
    IndexUnavailable: PsijExtError,
    IndexLocked: IndexUnavailable,
    IndexBroken: IndexUnavailable,
    PluginError: PsijExtError,
    UnknownPlugin: PluginError,
    BrokenPlugin: PluginError,
}


@pytest.mark.parametrize('kind', TREE)
def test_the_tree(kind: type[Exception]) -> None:
    assert kind.__bases__[0] is TREE[kind]


def test_the_tree_is_drawn_in_the_docstring() -> None:
    assert exceptions.__doc__ is not None
    for kind in TREE:
        assert kind.__name__ in exceptions.__doc__


def test_bad_words_of_people_and_schedulers_are_value_errors() -> None:
    assert issubclass(ParseError, ValueError)
    assert issubclass(UnknownPlugin, ValueError)


def test_a_refused_submission_says_all_that_is_known() -> None:
    cause = OSError('no')
    error = SubmitException(
        'refused', cause, True, argv=['sbatch', 'x'], exit_code=1, stderr='bad queue', script_path='/x'
    )
    assert str(error) == error.message == 'refused'
    assert (error.exception, error.transient) == (cause, True)
    assert (error.argv, error.exit_code, error.stderr) == (('sbatch', 'x'), 1, 'bad queue')
    assert error.script_path == Path('/x')


def test_what_is_not_known_is_empty() -> None:
    error = SubmitException('refused')
    assert (error.exception, error.transient, error.argv) == (None, False, ())
    assert (error.exit_code, error.stderr, error.script_path) == (None, '', None)
    assert InvalidJobException('wrong').exception is None


@pytest.mark.parametrize(
    'error',
    [
        InvalidJobException('wrong', ValueError('x')),
        SubmitUncertain('unknown', argv=['sbatch'], exit_code=None, stderr='late'),
        CommandTimeout('late', argv=['squeue'], stdout='a', stderr='b'),
        UnknownPlugin('none'),
        IndexLocked('busy'),
    ],
)
def test_an_error_survives_the_way_between_processes(error: PsijExtError) -> None:
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert {key: repr(value) for key, value in vars(copied).items()} == {
        key: repr(value) for key, value in vars(error).items()
    }
