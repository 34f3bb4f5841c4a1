from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext import InvalidJobException, JobSpec, ResourceSpec, ResourceSpecV1

COUNTS = ['node_count', 'process_count', 'processes_per_node', 'cpu_cores_per_process', 'memory']
optional_count = st.none() | st.integers(1, 50)


@pytest.mark.parametrize(
    ('given_counts', 'nodes', 'processes', 'per_node'),
    [
        ({}, 1, 1, 1),
        ({'node_count': 2}, 2, 2, 1),
        ({'process_count': 4}, 1, 4, 4),
        ({'processes_per_node': 3}, 1, 3, 3),
        ({'node_count': 2, 'process_count': 4}, 2, 4, 2),
        ({'node_count': 2, 'processes_per_node': 3}, 2, 6, 3),
        ({'process_count': 6, 'processes_per_node': 3}, 2, 6, 3),
        ({'node_count': 2, 'process_count': 6, 'processes_per_node': 3}, 2, 6, 3),
    ],
)
def test_two_counts_determine_the_third(
    given_counts: dict[str, Any], nodes: int, processes: int, per_node: int
) -> None:
    resources = ResourceSpecV1(**given_counts)
    assert resources.computed_node_count == nodes
    assert resources.computed_process_count == processes
    assert resources.computed_processes_per_node == per_node


@pytest.mark.parametrize(
    'given_counts',
    [
        {'node_count': 2, 'process_count': 5},
        {'node_count': 3, 'process_count': 2},
        {'process_count': 5, 'processes_per_node': 2},
        {'process_count': 2, 'processes_per_node': 3},
        {'node_count': 2, 'process_count': 4, 'processes_per_node': 3},
    ],
)
def test_counts_that_contradict_one_another_are_refused(given_counts: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobException) as caught:
        ResourceSpecV1(**given_counts)
    for name, count in given_counts.items():
        assert f'{name}={count}' in str(caught.value)


@given(optional_count, optional_count, optional_count)
def test_the_computed_counts_fit_or_the_resources_are_refused(
    nodes: int | None, processes: int | None, per_node: int | None
) -> None:
    try:
        resources = ResourceSpecV1(nodes, processes, per_node)
    except InvalidJobException:
        possible = any(
            (nodes or n) * (per_node or p) == (processes or n * p) for n in range(1, 51) for p in range(1, 51)
        )
        assert not possible
        return
    computed = resources.computed_node_count, resources.computed_processes_per_node
    assert computed[0] * computed[1] == resources.computed_process_count
    assert nodes in (None, computed[0])
    assert per_node in (None, computed[1])
    assert processes in (None, resources.computed_process_count)


def test_counts_may_change_together() -> None:
    resources = ResourceSpecV1(node_count=2, process_count=4)
    resources.node_count = 3
    with pytest.raises(InvalidJobException):
        _ = resources.computed_processes_per_node
    resources.process_count = 9
    assert resources.computed_processes_per_node == 3


@pytest.mark.parametrize('field', COUNTS)
@pytest.mark.parametrize(
    ('value', 'error'),
    [(0, ValueError), (-1, ValueError), ('1', TypeError), (1.0, TypeError), (True, TypeError)],
)
def test_a_wrong_count_is_refused(field: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf'^ResourceSpecV1\.{field}: '):
        ResourceSpecV1(**{field: value})


def test_no_gpu_can_be_asked_for_but_not_fewer() -> None:
    assert ResourceSpecV1(gpu_cores_per_process=0).gpu_cores_per_process == 0
    with pytest.raises(ValueError, match=r'^ResourceSpecV1\.gpu_cores_per_process: '):
        ResourceSpecV1(gpu_cores_per_process=-1)


def test_exclusive_use_is_true_or_false() -> None:
    with pytest.raises(TypeError, match=r'^ResourceSpecV1\.exclusive_node_use: '):
        ResourceSpecV1(exclusive_node_use=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(('memory', 'kib'), [(None, None), (1, 1), (1024, 1), (1025, 2), (2**30, 2**20)])
def test_memory_in_kib_is_rounded_up(memory: int | None, kib: int | None) -> None:
    assert ResourceSpecV1(memory=memory).memory_kb == kib


def test_an_instance_by_version() -> None:
    assert ResourceSpec.get_instance(1) == ResourceSpecV1()
    assert ResourceSpecV1().version == 1
    with pytest.raises(ValueError, match='version 1000'):
        ResourceSpec.get_instance(1000)


def test_resources_are_equal_by_content_and_readable() -> None:
    assert ResourceSpecV1(node_count=2) == ResourceSpecV1(2)
    assert ResourceSpecV1(node_count=2) != ResourceSpecV1(3)
    shown = repr(ResourceSpecV1(2, exclusive_node_use=True))
    assert shown == 'ResourceSpecV1(node_count=2, exclusive_node_use=True)'


def test_resources_without_a_version_cannot_be_made() -> None:
    with pytest.raises(TypeError):
        ResourceSpec()  # type: ignore[abstract]
    assert JobSpec().resources is None
