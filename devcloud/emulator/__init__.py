"""AWS on this machine: moto, with what it lacks added, and ECR's registry in front of a real one.

- `python -m devcloud.emulator`: the AWS API (see `server`).
- `python -m devcloud.emulator.registry_proxy`: the registry protocol as ECR serves it.

One module an AWS service; each subclasses moto's backend and responses and says why.
"""
