"""Shared tools of every package: the console, processes, locks, files, a registry's client."""
