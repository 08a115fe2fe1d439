"""The program that runs on the API host: it starts releases, proves them, and turns the traffic to them.

Standard library only, and Python 3.9: the system's own Python on Amazon Linux 2023. It imports nothing else of `infra`;
`infra/releases/host_document.py` packs it, with the graph of services, into one file for an SSM document.
"""
