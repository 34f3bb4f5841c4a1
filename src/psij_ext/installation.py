"""Where the files lie that belong to psij_ext and are not Python modules."""

from __future__ import annotations

from pathlib import Path

from psij_ext.exceptions import PsijExtError

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Return one of our folders of data.

    :param name: `psij-descriptors` or `templates`.
    :raises PsijExtError: if this installation lacks the folder.
    """
    # A wheel carries the folder inside the package, where no other library scans it; in a checkout and in an
    # editable install it is a top-level folder of the repository, beside `src`.
    places = (_PACKAGE / '_data' / name, _PACKAGE.parent.parent / name)
    for place in places:
        if place.is_dir():
            return place
    looked = ' nor '.join(str(place) for place in places)
    raise PsijExtError(f'This installation of psij_ext is incomplete: there is neither {looked}')
