"""The same as the entry point, for those who put this folder's parent on `sys.path` and install nothing."""

from psij_dirq.descriptor import descriptor

__PSIJ_EXT_EXECUTORS__ = [descriptor]
