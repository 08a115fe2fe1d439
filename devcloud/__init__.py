"""The cloud on this machine, and the commands of the Makefile. Each package may import only those above it.

bootstrap   make the Python environment and start a module in it
util        the console, processes, locks, files, waiting, a registry's client
toolchain   find or make every program that is needed
cloud       one cloud: ports, processes, Docker, databases, clients of the emulator
images      build, explain and export images; the registry and the build cache
pulumi      run Pulumi on a stack: configuration, progress, recovery after a kill
verify      run the worker's task beside the host, and the product's smoke test
cli         the commands: deploy, inspect, images, validate
dev         `make dev`: the product without a cloud, with live reload

Processes of their own, which import only util:

emulator    AWS on this machine: moto with what it lacks, and ECR's registry protocol
machines    EC2's data plane: instances of the emulator as containers that are hosts
plugins     plugins of Pulumi for machines that cannot have the official ones
"""
