"""MATLAB files up to version 7, which several sets keep their lists and pictures in. Needs scipy.

Later ones are HDF5 files, which `nyu_mat` reads: the same suffix, another format altogether.
"""

import importlib
from pathlib import Path
from typing import Any

from fathom.errors import Code, FathomError
from training.data.reader import demand


def load_mat(path: Path, form: str, *names: str) -> tuple[Any, ...]:
    """The variables of these names; structures have their fields as attributes.

    form    of the data set that has such a file, for the message
    raises  BAD_DATA
    """
    demand(path, form)
    try:
        found = importlib.import_module("scipy.io").loadmat(
            path, squeeze_me=True, struct_as_record=False
        )
        return tuple(found[name] for name in names)
    except ImportError as error:
        raise FathomError(
            Code.BAD_DATA,
            expected=f"scipy, to read {path.name}",
            got="an environment without it",
            repair="pip install 'fathom-depth[training]'",
        ) from error
    except Exception as error:  # scipy's own errors share no base
        raise FathomError(
            Code.BAD_DATA,
            expected=f"a MATLAB file with {' and '.join(names)}, as published with form {form}",
            got=f"{path}: {type(error).__name__} {error}".rstrip(),
            repair="fetch it again; a cut-off download and a web page saved instead look like this",
        ) from error
