"""The executors and launchers that come with psij_ext."""

from psij_ext import __version__
from psij_ext.plugins import Descriptor

__PSIJ_EXT_EXECUTORS__ = [
    Descriptor('local', __version__, 'psij_ext.executors.local.LocalJobExecutor', nice_name='Local'),
    Descriptor('slurm', __version__, 'psij_ext.executors.batch.slurm.SlurmJobExecutor', nice_name='Slurm'),
    Descriptor(
        'pbspro',
        __version__,
        'psij_ext.executors.batch.pbspro.PBSProJobExecutor',
        aliases=['pbs'],
        nice_name='PBS Pro',
    ),
]

__PSIJ_EXT_LAUNCHERS__ = [
    Descriptor('single', __version__, 'psij_ext.launchers.single.SingleLauncher'),
    Descriptor('multiple', __version__, 'psij_ext.launchers.multiple.MultipleLauncher'),
    Descriptor('mpirun', __version__, 'psij_ext.launchers.mpirun.MPILauncher'),
    Descriptor('srun', __version__, 'psij_ext.launchers.srun.SrunLauncher'),
]
