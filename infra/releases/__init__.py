"""Releases: the document that the host serves, the release file, and promotion from stack to stack."""
