from packaging.version import Version

from psij._descriptor import _Descriptor

__PSI_J_EXECUTORS__ = [
    _Descriptor(name='oldpbs', version=Version('0.0.1'), cls='oldpbs.executor.OldPBSExecutor'),
    _Descriptor(name='threaded', version=Version('0.0.1'), cls='oldpbs.threaded.ThreadedExecutor'),
    _Descriptor(name='keywordpbs', version=Version('0.0.1'), cls='oldpbs.executor.KeywordPBSExecutor'),
]
__PSI_J_LAUNCHERS__ = [
    _Descriptor(name='twice', version=Version('0.0.1'), cls='oldpbs.launchers.TwiceLauncher'),
    _Descriptor(name='counted', version=Version('0.0.1'), cls='oldpbs.launchers.CountedLauncher'),
    _Descriptor(name='bare', version=Version('0.0.1'), cls='oldpbs.launchers.BareLauncher'),
]
