"""The ids of Slurm's jobs: `12`, an element `12_3` of an array, a part `12+1` of a heterogeneous job.

Each cluster counts for itself: a job on another than the own has its cluster's name in its id, `12;cluster`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

NATIVE_ID = re.compile(r'\d{1,18}(?:_\d{1,18}|\+\d{1,9})?(?:;[\w.-]+)?', re.ASCII)
_SUBMITTED = re.compile(
    r'^(?:Submitted batch job )?(\d{1,18})(?:(?:;| on cluster )([\w.-]+))?[^\S\n]*\n', re.ASCII | re.MULTILINE)


def read_submitted(out: str) -> str | None:
    """Read the id that sbatch printed, among whatever a site prints around it; None if there is no whole line of it."""
    matches = _SUBMITTED.findall(out)
    return joined(*matches[-1]) if matches else None


def divided(native_id: str) -> tuple[str, str]:
    """Divide an id into the job's number and the name of its cluster, which is empty where the id names none."""
    number, _, cluster = native_id.partition(';')
    return number, cluster


def joined(number: str, cluster: str) -> str:
    """Put number and cluster together again."""
    return f'{number};{cluster}' if cluster else number


def clusters_option(*clusters: str) -> list[str]:
    """Return the option that leads a command to clusters; none where they have no names."""
    names = ','.join(sorted(filter(None, clusters)))
    return [f'--clusters={names}'] if names else []


def named(native_ids: Sequence[str]) -> list[str]:
    """Return the arguments that name jobs of one cluster to a command."""
    return [*clusters_option(divided(native_ids[0])[1]), *(divided(native_id)[0] for native_id in native_ids)]
