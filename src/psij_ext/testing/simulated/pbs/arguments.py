"""Options of a PBS command line, read as the C library's getopt reads them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Arguments:
    """A command line taken apart."""

    options: list[tuple[str, str]] = field(default_factory=list)
    operands: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    dashes: bool = False
    """Whether ``--`` ended the options."""

    def has(self, letter: str) -> bool:
        return any(name == letter for name, _ in self.options)

    def last(self, letter: str) -> str | None:
        """Return the value that counts of an option that may be repeated."""
        values = [value for name, value in self.options if name == letter]
        return values[-1] if values else None


def parse(path: str, arguments: list[str], letters: str) -> Arguments:
    """Take a command line apart. Options after the first operand are operands.

    :param path: the command as it was called, for the messages
    :param letters: the options in getopt's notation, a colon after those that have a value
    """
    result = Arguments()
    rest = list(arguments)
    while rest and rest[0].startswith('-') and rest[0] != '-':
        word = rest.pop(0)
        if word == '--':
            result.dashes = True
            break
        position = 1
        while position < len(word):
            letter, position = word[position], position + 1
            if letter == ':' or letter not in letters:
                result.errors.append(f"{path}: invalid option -- '{letter}'\n")
            elif not letters.partition(letter)[2].startswith(':'):
                result.options.append((letter, ''))
            elif position < len(word) or rest:
                result.options.append((letter, word[position:] or rest.pop(0)))
                break
            else:
                result.errors.append(f"{path}: option requires an argument -- '{letter}'\n")
    result.operands = rest
    return result
