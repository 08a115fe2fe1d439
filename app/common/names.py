"""How the names of lab tests are told apart. Imports nothing of ours: the worker's models are exported with it."""

import re
import unicodedata


def normalise(name: str) -> str:
    """A name as the model gets it, and as trends are kept under:

    one Unicode form, lower case, separators and runs of spaces as one space.
    """
    name = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_,;:]+", " ", name).strip()
