"""The description of a job."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Optional, Union

from psij_ext.core import checks
from psij_ext.core.attributes import JobAttributes
from psij_ext.core.checks import Checked, Field, instance_of, list_of, nonempty_text, optional, set_of
from psij_ext.core.resources import ResourceSpec
from psij_ext.core.staging import StageIn, StageOut, StageOutFlags

AnyPath = Union[str, Path, None]
PathField = Field[AnyPath, Optional[Path]]
TextField = Field[Optional[str], Optional[str]]


def _attributes(label: str, value: object) -> JobAttributes:
    return JobAttributes() if value is None else instance_of(JobAttributes)(label, value)


class JobSpec(Checked):
    """The description of a job: what to run, where, with which files, on what.

    Lists, sets and dictionaries are copied when they are set. Paths may be strings and are kept as `Path`. Relative
    ones lie under `directory`; but `directory` itself, the scripts around the launch, and the outer side of staged
    files lie under the present directory of the program that submits the job.

    :param executable: the program.
    :param arguments: its arguments.
    :param directory: where it runs.
    :param name: the job's name; the executable if None.
    :param inherit_environment: whether the job sees the environment of the program that submits it.
    :param environment: environment variables to set; whole numbers become strings.
    :param stdin_path: a file for standard input.
    :param stdout_path: a file for standard output.
    :param stderr_path: a file for standard error.
    :param resources: what the job needs of a machine.
    :param attributes: how the scheduler is to treat it.
    :param pre_launch: a script that the job's shell reads before the program starts.
    :param post_launch: a script that the job's shell reads after the program ended.
    :param launcher: the name of the launcher that starts the program.
    :param stage_in: files to fetch before.
    :param stage_out: files to deliver afterwards.
    :param cleanup: files and folders to remove at the end.
    :param cleanup_flags: after which ends to remove them.
    :raises TypeError: if a field has a wrong type.
    :raises ValueError: if a field has a wrong value.
    """

    __slots__ = (
        '_arguments', '_attributes', '_cleanup', '_cleanup_flags', '_directory', '_environment',
        '_executable', '_inherit_environment', '_launcher', '_name', '_post_launch', '_pre_launch',
        '_resources', '_stage_in', '_stage_out', '_stderr_path', '_stdin_path', '_stdout_path',
    )  # fmt: skip

    executable: TextField = Field(optional(nonempty_text), 'The program.')
    arguments: Field[Sequence[str] | None, list[str] | None] = Field(
        optional(list_of(checks.text)), 'Its arguments.'
    )
    directory: PathField = Field(optional(checks.path), 'Where it runs.')
    name: TextField = Field(
        optional(nonempty_text), "The job's name; the executable if None.", fallback='executable'
    )
    inherit_environment: Field[bool, bool] = Field(
        checks.flag, 'Whether the job sees the environment of the program that submits it.', default=True
    )
    environment: Field[Mapping[str, str | int] | None, dict[str, str] | None] = Field(
        optional(checks.environment), 'Environment variables to set.'
    )
    stdin_path: PathField = Field(optional(checks.path), 'A file for standard input.')
    stdout_path: PathField = Field(optional(checks.path), 'A file for standard output.')
    stderr_path: PathField = Field(optional(checks.path), 'A file for standard error.')
    resources: Field[ResourceSpec | None, ResourceSpec | None] = Field(
        optional(instance_of(ResourceSpec)), 'What the job needs of a machine.'
    )
    attributes: Field[JobAttributes | None, JobAttributes] = Field(
        _attributes, 'How the scheduler is to treat it.', default=JobAttributes()
    )
    pre_launch: PathField = Field(optional(checks.path), 'A script to read before the program starts.')
    post_launch: PathField = Field(optional(checks.path), 'A script to read after the program ended.')
    launcher: TextField = Field(optional(nonempty_text), 'The name of the launcher that starts the program.')
    stage_in: Field[Collection[StageIn] | None, set[StageIn] | None] = Field(
        optional(set_of(instance_of(StageIn))), 'Files to fetch before.'
    )
    stage_out: Field[Collection[StageOut] | None, set[StageOut] | None] = Field(
        optional(set_of(instance_of(StageOut))), 'Files to deliver afterwards.'
    )
    cleanup: Field[Collection[str | Path] | None, set[Path] | None] = Field(
        optional(set_of(checks.path)), 'Files and folders to remove at the end.'
    )
    cleanup_flags: Field[StageOutFlags, StageOutFlags] = Field(
        instance_of(StageOutFlags), 'After which ends to remove them.', default=StageOutFlags.ALWAYS
    )

    def __init__(
        self,
        executable: str | None = None,
        arguments: Sequence[str] | None = None,
        directory: AnyPath = None,
        name: str | None = None,
        inherit_environment: bool = True,
        environment: Mapping[str, str | int] | None = None,
        stdin_path: AnyPath = None,
        stdout_path: AnyPath = None,
        stderr_path: AnyPath = None,
        resources: ResourceSpec | None = None,
        attributes: JobAttributes | None = None,
        pre_launch: AnyPath = None,
        post_launch: AnyPath = None,
        launcher: str | None = None,
        stage_in: Collection[StageIn] | None = None,
        stage_out: Collection[StageOut] | None = None,
        cleanup: Collection[str | Path] | None = None,
        cleanup_flags: StageOutFlags = StageOutFlags.ALWAYS,
    ) -> None:
        self.executable = executable
        self.arguments = arguments
        self.directory = directory
        self.name = name
        self.inherit_environment = inherit_environment
        self.environment = environment
        self.stdin_path = stdin_path
        self.stdout_path = stdout_path
        self.stderr_path = stderr_path
        self.resources = resources
        self.attributes = attributes
        self.pre_launch = pre_launch
        self.post_launch = post_launch
        self.launcher = launcher
        self.stage_in = stage_in
        self.stage_out = stage_out
        self.cleanup = cleanup
        self.cleanup_flags = cleanup_flags

    def _shown(self, name: str, value: object) -> str:
        # Representations get into logs, and values of the environment may be secret.
        secret = name == 'environment' and isinstance(value, dict)
        return repr(dict.fromkeys(value, '***')) if secret else super()._shown(name, value)  # type: ignore[call-overload]
