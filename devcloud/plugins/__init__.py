"""Plugins of Pulumi for machines that cannot have the official ones, each a process of its own."""
