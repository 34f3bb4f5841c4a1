"""What a job used: what the scheduler accounts for, and where it is silent what the job's script measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta, timezone

from psij_ext.core.exit_info import ResourceUsage
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.runtime.records import ExitRecord

# More seconds than a timedelta can hold.
_TOO_MUCH = 8.64e13
_FIELDS = tuple(field.name for field in fields(ResourceUsage))


@dataclass(frozen=True)
class Request:
    """What was asked of the scheduler, and when; None stands for what is not known.

    :param submitted: when the job was submitted, in seconds since the epoch.
    :param cpus: how many cores were asked for.
    :param nodes: how many machines.
    """

    submitted: float | None = None
    cpus: int | None = None
    nodes: int | None = None


def request_of(spec: JobSpec | None, submitted: float | None) -> Request:
    """Return what a spec asks for: one core of one machine where it says nothing of resources."""
    if spec is None:
        return Request(submitted)
    resources = ResourceSpecV1() if spec.resources is None else spec.resources
    if not isinstance(resources, ResourceSpecV1):
        return Request(submitted)
    cores = resources.computed_process_count * (resources.cpu_cores_per_process or 1)
    # Who has whole machines to himself has more cores than he asked for.
    return Request(submitted, None if resources.exclusive_node_use else cores, resources.computed_node_count)


def usage_of(accounted: Iterable[ResourceUsage | None], record: ExitRecord | None, request: Request,
             ran: bool, in_queue: ResourceUsage | None = None) -> ResourceUsage:
    """Put together what is known of what a job used, field by field, from the best source that knows it.

    :param accounted: what the scheduler says; who comes first is believed first.
    :param record: what the job's script measured.
    :param request: what was asked for.
    :param ran: whether the job's script is known to have run.
    :param in_queue: what a queue that keeps no accounts says of it.
    """
    usage = ResourceUsage()
    for source in accounted:
        if source is not None:
            usage = _filled(usage, source)
    if record is not None:
        usage = _filled(usage, _measured(record))
    if in_queue is not None:
        usage = _filled(usage, in_queue)
    usage = _filled(usage, ResourceUsage(submit_time=_moment(request.submitted)))
    if ran or usage.start_time is not None:
        usage = _filled(usage, ResourceUsage(cpus=request.cpus, nodes=request.nodes))
    return _with_percent(usage)


def completed_usage(accounted: Iterable[ResourceUsage], known: ResourceUsage | None,
                    in_queue: ResourceUsage | None = None) -> ResourceUsage:
    """Put what the scheduler came to tell of a job that is over before what was known of it.

    :param accounted: what the scheduler says; who comes first is believed first.
    :param known: what was known so far.
    :param in_queue: what a queue that keeps no accounts says of it: on how much it ran, better than what was asked for.
    """
    usage = ResourceUsage()
    for source in accounted:
        usage = _filled(usage, source)
    if in_queue is not None:
        usage = _filled(usage, ResourceUsage(cpus=in_queue.cpus, nodes=in_queue.nodes, raw=in_queue.raw))
    if known is not None:
        usage = _filled(usage, replace(known, cpu_percent=None))
    if in_queue is not None:
        usage = _filled(usage, in_queue)
    return _with_percent(usage)


def usage_record(usage: ResourceUsage) -> dict[str, object]:
    """Return what a job used as JSON can hold it: spans in seconds, moments in ISO 8601 with their time zone."""
    return {name: _plain(getattr(usage, name)) for name in _FIELDS}


def read_usage(record: object) -> ResourceUsage | None:
    """Read what `usage_record` returned; a field that cannot be read is unknown."""
    if not isinstance(record, Mapping):
        return None
    get = record.get
    raw = get('raw')
    return ResourceUsage(
        wall_time=_read_span(get('wall_time')), cpu_time=_read_span(get('cpu_time')),
        cpu_percent=_read_number(get('cpu_percent')), max_rss=_read_count(get('max_rss')),
        max_vmem=_read_count(get('max_vmem')), cpus=_read_count(get('cpus')), nodes=_read_count(get('nodes')),
        submit_time=_read_moment(get('submit_time')), start_time=_read_moment(get('start_time')),
        end_time=_read_moment(get('end_time')),
        raw={str(name): str(value) for name, value in raw.items()} if isinstance(raw, Mapping) else None)


def _measured(record: ExitRecord) -> ResourceUsage:
    cpu_seconds = None
    if record.user_time is not None and record.system_time is not None:
        cpu_seconds = record.user_time + record.system_time
    # A clock that was set back while the job ran tells nothing.
    seconds = None if record.began is None or record.ended < record.began else record.ended - record.began
    return ResourceUsage(
        wall_time=_span(seconds), cpu_time=_span(cpu_seconds), max_rss=record.max_rss,
        start_time=_moment(record.began), end_time=_moment(record.ended))


def _with_percent(usage: ResourceUsage) -> ResourceUsage:
    if usage.cpu_percent is None and usage.cpu_time is not None and usage.wall_time:
        return replace(usage, cpu_percent=round(100 * (usage.cpu_time / usage.wall_time), 1))
    return usage


def _filled(usage: ResourceUsage, source: ResourceUsage) -> ResourceUsage:
    gaps = [name for name in _FIELDS if getattr(usage, name) is None]
    return replace(usage, **{name: getattr(source, name) for name in gaps})


def _span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


def _plain(value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return dict(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _read_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < _TOO_MUCH else None


def _read_count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _read_span(value: object) -> timedelta | None:
    return _span(_read_number(value))


def _read_moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment
