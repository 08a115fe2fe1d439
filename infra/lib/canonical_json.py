"""The one way that a JSON document is written: equal values are equal strings."""

import json


def canonical_json(value: object) -> str:
    """Return a value as JSON with sorted keys and no blanks. Raises ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
