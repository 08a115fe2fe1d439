"""Run Pulumi on a stack: its configuration, progress, and recovery after a kill."""
