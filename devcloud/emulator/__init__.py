"""AWS on this machine: moto, with what it lacks added at its edge, and ECR's registry in front of a real one.

- `python -m devcloud.emulator`: the AWS API (see `server`).
- `python -m devcloud.emulator.ecr_front`: the registry protocol as ECR serves it.
- `python -m devcloud.emulator.inventory`: what is left in the emulator.

One module an AWS service; each subclasses moto's backend and responses and says why.
"""
