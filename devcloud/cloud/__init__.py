"""One cloud on this machine: its ports, its processes and clients of its services."""
