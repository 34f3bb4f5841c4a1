"""The same as the entry point, for those who put this folder's parent on `sys.path` and install nothing."""

from psij_dirq.descriptor import descriptor

__PSI_J_EXECUTORS__ = [descriptor]
