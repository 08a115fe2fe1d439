"""Releases: the host's program and document, the gate that hands releases over, promotion, and rollback."""
