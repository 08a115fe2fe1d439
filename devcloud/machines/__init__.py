"""The data plane of EC2 on this machine: instances of the emulator as containers that are hosts.

- `python -m devcloud.machines`: one process a cloud. It reads from the emulator which instances should run, makes it so
  on the Docker engine, and reports. The emulator itself never calls Docker.
- `image/`: the programs and units of the host image, all stand-ins; nothing imports them.
"""
