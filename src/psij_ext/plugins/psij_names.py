"""Which of our objects stands behind which name of PSI/J's Python interface, module by module.

The modules, their names and the version are those of psij-python 0.9.11, as `dir` and `inspect.signature` tell them,
and the modules of staging and of the older descriptors as its documentation does.
"""

from __future__ import annotations

from collections.abc import Mapping

VERSION = '0.9.11'
"""The version of psij-python whose interface this is."""

_HERE = 'psij_ext.plugins.psij_names'
_BATCH = 'psij_ext.executors.batch'
_GENERATOR = f'{_BATCH}.script_generator'

# Old name to new object, as `module:name`; where there is no name, it is the same.
_OWN: Mapping[str, Mapping[str, str]] = {
    'psij': {'__version__': f'{_HERE}:VERSION', 'VERSION': _HERE},
    'psij.version': {'VERSION': _HERE},
    'psij.exceptions': dict.fromkeys(('InvalidJobException', 'SubmitException'), 'psij_ext.exceptions'),
    'psij.descriptor': {'Descriptor': 'psij_ext.plugins.descriptor'},
    'psij._descriptor': {'_Descriptor': 'psij_ext.plugins.descriptor:Descriptor'},
    'psij.job': {
        'FunctionJobStatusCallback': 'psij_ext.core.job', 'Job': 'psij_ext.core.job',
        'JobStatusCallback': 'psij_ext.core.job'},
    'psij.job_attributes': {'JobAttributes': 'psij_ext.core.attributes'},
    'psij.job_executor': {'JobExecutor': 'psij_ext.core.interfaces'},
    'psij.job_executor_config': {'JobExecutorConfig': 'psij_ext.core.interfaces'},
    'psij.job_launcher': {'Launcher': 'psij_ext.core.interfaces'},
    'psij.launcher': {'Launcher': 'psij_ext.core.interfaces'},
    'psij.job_spec': {'JobSpec': 'psij_ext.core.spec'},
    'psij.job_state': {'JobState': 'psij_ext.core.state', 'JobStateOrder': 'psij_ext.core.state'},
    'psij.job_status': {'JobStatus': 'psij_ext.core.status'},
    'psij.resource_spec': dict.fromkeys(('ResourceSpec', 'ResourceSpecV1'), 'psij_ext.core.resources'),
    'psij.serialize': dict.fromkeys(('JSONSerializer', 'Serializer'), 'psij_ext.core.serialization'),
    'psij.staging': dict.fromkeys(
        ('StageIn', 'StageOut', 'StageOutFlags', 'StagingMode', 'URI'), 'psij_ext.core.staging'),
    'psij.executors': {},
    'psij.executors.local': {'LocalJobExecutor': 'psij_ext.executors.local'},
    'psij.executors.batch': {},
    'psij.executors.batch.batch_scheduler_executor': {
        'BatchSchedulerExecutor': f'{_BATCH}.base',
        'BatchSchedulerExecutorConfig': f'{_BATCH}.config',
        'FUNCTION_LIBRARY': f'{_BATCH}.template_function_library:ALL',
        'InvalidJobStateError': 'psij_ext.exceptions',
        'UNKNOWN_ERROR': f'{_BATCH}.dialect',
        'check_status_exit_code': f'{_BATCH}.dialect'},
    'psij.executors.batch.escape_functions': {'bash_escape': _GENERATOR},
    'psij.executors.batch.pbs': {'PBSJobExecutor': f'{_BATCH}.pbspro:PBSProJobExecutor'},
    'psij.executors.batch.pbspro': {
        'PBSProExecutorConfig': f'{_BATCH}.pbspro', 'PBSProJobExecutor': f'{_BATCH}.pbspro'},
    'psij.executors.batch.pbs_base': {
        'GenericPBSJobExecutor': f'{_BATCH}.pbs_base', 'PBSExecutorConfig': f'{_BATCH}.pbspro:PBSProExecutorConfig'},
    'psij.executors.batch.script_generator': dict.fromkeys(
        ('SubmitScriptGenerator', 'TemplatedScriptGenerator'), _GENERATOR),
    'psij.executors.batch.slurm': dict.fromkeys(('SlurmExecutorConfig', 'SlurmJobExecutor'), f'{_BATCH}.slurm'),
    'psij.executors.batch.template_function_library': dict.fromkeys(
        ('ALL', 'walltime_to_minutes'), f'{_BATCH}.template_function_library'),
    'psij.launchers': {},
    'psij.launchers.mpirun': {'MPILauncher': 'psij_ext.launchers.mpirun'},
    'psij.launchers.multiple': {'MultipleLauncher': 'psij_ext.launchers.multiple'},
    'psij.launchers.script_based_launcher': {'ScriptBasedLauncher': 'psij_ext.launchers.script_based_launcher'},
    'psij.launchers.single': {'SingleLauncher': 'psij_ext.launchers.single'},
    'psij.launchers.srun': {'SrunLauncher': 'psij_ext.launchers.srun'},
}

# What modules there import from one another can be imported from them, too, and is.
_ALSO: Mapping[str, tuple[str, ...]] = {
    'psij': (
        'psij.descriptor', 'psij.exceptions', 'psij.job_attributes', 'psij.job_executor', 'psij.job_executor_config',
        'psij.job_launcher', 'psij.job_spec', 'psij.job', 'psij.job_state', 'psij.job_status', 'psij.resource_spec',
        'psij.staging'),
    'psij._descriptor': ('psij.descriptor',),
    'psij.job': ('psij.exceptions', 'psij.job_spec', 'psij.job_state', 'psij.job_status'),
    'psij.job_executor': (
        'psij.descriptor', 'psij.exceptions', 'psij.job', 'psij.job_executor_config', 'psij.job_launcher',
        'psij.job_spec', 'psij.job_state', 'psij.job_status', 'psij.resource_spec'),
    'psij.job_launcher': ('psij.descriptor', 'psij.job', 'psij.job_executor_config'),
    'psij.launcher': ('psij.descriptor', 'psij.job', 'psij.job_executor_config'),
    'psij.job_spec': ('psij.job_attributes', 'psij.resource_spec'),
    'psij.job_status': ('psij.job_state',),
    'psij.resource_spec': ('psij.exceptions',),
    'psij.serialize': ('psij.job_attributes', 'psij.job_spec', 'psij.resource_spec'),
    'psij.executors': ('psij.executors.local', 'psij.executors.batch.slurm'),
    'psij.executors.local': (
        'psij.exceptions', 'psij.job', 'psij.job_executor', 'psij.job_executor_config', 'psij.job_launcher',
        'psij.job_spec', 'psij.job_state', 'psij.job_status', 'psij.resource_spec'),
    'psij.executors.batch.batch_scheduler_executor': (
        'psij.exceptions', 'psij.job', 'psij.job_executor', 'psij.job_executor_config', 'psij.job_launcher',
        'psij.job_state', 'psij.job_status', 'psij.launchers.script_based_launcher'),
    'psij.executors.batch.pbs': ('psij.executors.batch.pbs_base', 'psij.executors.batch.script_generator'),
    'psij.executors.batch.pbs_base': (
        'psij.exceptions', 'psij.job', 'psij.job_state', 'psij.job_status',
        'psij.executors.batch.batch_scheduler_executor', 'psij.executors.batch.script_generator'),
    'psij.executors.batch.script_generator': (
        'psij.executors.batch.escape_functions', 'psij.job', 'psij.job_executor_config'),
    'psij.executors.batch.slurm': (
        'psij.exceptions', 'psij.job', 'psij.job_state', 'psij.job_status',
        'psij.executors.batch.batch_scheduler_executor', 'psij.executors.batch.script_generator'),
    'psij.launchers': (
        'psij.launchers.mpirun', 'psij.launchers.multiple', 'psij.launchers.single', 'psij.launchers.srun'),
    'psij.launchers.mpirun': ('psij.job_executor_config', 'psij.launchers.multiple'),
    'psij.launchers.multiple': (
        'psij.job', 'psij.job_executor_config', 'psij.launchers.script_based_launcher', 'psij.resource_spec'),
    'psij.launchers.script_based_launcher': ('psij.job', 'psij.job_executor_config', 'psij.job_launcher'),
    'psij.launchers.single': ('psij.job_executor_config', 'psij.launchers.script_based_launcher'),
    'psij.launchers.srun': ('psij.job_executor_config', 'psij.launchers.multiple'),
}


def _all_of(module: str) -> dict[str, str]:
    names = {name: place for other in _ALSO.get(module, ()) for name, place in _OWN[other].items()}
    return {**names, **_OWN[module]}


TABLE: Mapping[str, Mapping[str, str]] = {module: _all_of(module) for module in _OWN}
"""For each module of PSI/J its names, and for each name the module of ours, with a colon and our name if it differs."""
