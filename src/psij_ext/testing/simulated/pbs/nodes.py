"""The nodes of a simulated cluster: what is free, and where a job fits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .resources import Chunk, Wanted
    from .settings import Settings


@dataclass(eq=False)
class Node:
    """One node; memory in kB. `slots` are the job slots in use, `exclusive` whether a job has it for itself."""

    name: str
    cpus: int
    memory: int
    gpus: int
    slots: set[int] = field(default_factory=set)
    exclusive: bool = False

    def fits(self, chunk: Chunk) -> bool:
        wanted = chunk.amounts.get('host', chunk.amounts.get('vnode', self.name))
        return (
            wanted == self.name
            and chunk.number('ncpus') <= self.cpus
            and chunk.memory <= self.memory
            and chunk.number('ngpus') <= self.gpus
        )

    def take(self, chunk: Chunk, sign: int = 1) -> None:
        """Take what a chunk wants away from what is free, or give it back with sign -1."""
        self.cpus -= sign * chunk.number('ncpus')
        self.memory -= sign * chunk.memory
        self.gpus -= sign * chunk.number('ngpus')


@dataclass(frozen=True)
class Share:
    """One chunk of a job on its node."""

    node: Node
    slot: int
    chunk: Chunk

    @property
    def host(self) -> str:
        cpus = self.chunk.number('ncpus')
        return f'{self.node.name}/{self.slot}' + (f'*{cpus}' if cpus != 1 else '')

    @property
    def vnode(self) -> str:
        parts = [self.node.name]
        amounts = {**self.chunk.amounts, **({} if 'ncpus' in self.chunk.amounts else {'ncpus': '1'})}
        for name, value in amounts.items():
            if name in ('ncpus', 'ngpus'):
                parts.append(f'{name}={value}')
            elif name == 'mem':
                parts.append(f'mem={self.chunk.memory}kb')
        return '(' + ':'.join(parts) + ')'

    def give_back(self) -> None:
        """Free what the chunk has taken."""
        self.node.slots.discard(self.slot)
        self.node.take(self.chunk, -1)

    @property
    def processes(self) -> int:
        return int(self.chunk.amounts.get('mpiprocs', '1' if self.chunk.number('ncpus') else '0'))


@dataclass(frozen=True)
class Place:
    """Where a job runs."""

    shares: tuple[Share, ...]
    exclusive: bool

    @property
    def hosts(self) -> str:
        return '+'.join(share.host for share in self.shares)

    @property
    def vnodes(self) -> str:
        return '+'.join(share.vnode for share in self.shares)

    @property
    def node_file(self) -> str:
        """One line a process, as in ``$PBS_NODEFILE``."""
        return ''.join(f'{share.node.name}\n' * share.processes for share in self.shares)


class Cluster:
    """All nodes together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        base = settings.server.rstrip('0123456789') or settings.server
        names = [settings.server] + [f'{base}{number}' for number in range(2, settings.nodes + 1)]
        self.nodes = [self._empty(name) for name in names[: settings.nodes]]

    def _empty(self, name: str) -> Node:
        return Node(name, self._settings.cpus, self._settings.memory, self._settings.gpus)

    def place(self, wanted: Wanted) -> Place | None:
        """Reserve room for a job; None where there is none now."""
        how = wanted.shown['place'].split(':')
        exclusive = 'excl' in how or 'exclhost' in how
        usable = [node for node in self.nodes if not node.exclusive and not (exclusive and node.slots)]
        shares = _choose(usable, wanted.chunks, how)
        if shares is None:
            return None
        for share in shares:
            share.node.exclusive = exclusive
        return Place(tuple(shares), exclusive)

    def release(self, place: Place) -> None:
        """Give back what a job had."""
        for share in place.shares:
            share.give_back()
            share.node.exclusive = False

    def refusal(self, wanted: Wanted) -> str:
        """Say why a job does not fit, in the words of the scheduler's comment."""
        empty = [self._empty(node.name) for node in self.nodes]
        how = wanted.shown['place'].split(':')
        never = _choose(empty, wanted.chunks, how) is None
        prefix = 'Can Never Run: ' if never else 'Not Running: '
        if 'scatter' in how and len(wanted.chunks) > len(self.nodes):
            return prefix + 'Not enough total nodes available'
        cpus, total = int(wanted.shown['ncpus']), self._settings.cpus * len(self.nodes)
        free = total if never else sum(node.cpus for node in self.nodes)
        return f'{prefix}Insufficient amount of resource: ncpus (R: {cpus} A: {free} T: {total})'


def _choose(nodes: list[Node], chunks: tuple[Chunk, ...], how: list[str]) -> list[Share] | None:
    """Take room for all chunks, or for none and return None."""
    if 'pack' in how:
        attempts = (_fill([node], chunks, False) for node in nodes)
        return next((shares for shares in attempts if shares is not None), None)
    return _fill(nodes, chunks, 'scatter' in how or 'vscatter' in how)


def _fill(nodes: list[Node], chunks: tuple[Chunk, ...], scatter: bool) -> list[Share] | None:
    shares: list[Share] = []
    for chunk in chunks:
        used = [share.node for share in shares] if scatter else []
        node = next((node for node in nodes if node not in used and node.fits(chunk)), None)
        if node is None:
            for share in shares:
                share.give_back()
            return None
        slot = next(number for number in range(len(node.slots) + 1) if number not in node.slots)
        node.slots.add(slot)
        node.take(chunk)
        shares.append(Share(node, slot, chunk))
    return shares
