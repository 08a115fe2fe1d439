"""The versions of what devcloud makes or downloads. The lock's SDKs and these go together."""

PULUMI = "3.259.0"
"""The engine; the lock pins the SDK of the same version."""
DOCKER_BUILD = "0.0.22"
"""Pulumi's docker-build plugin, as pulumi-docker-build asks for."""
AWS = "7.51.1"
"""Pulumi's AWS plugin, as pulumi-aws asks for."""
BUILDKIT = "0.31.1"
"""buildkitd and buildctl."""
BRIDGE = "3.128.0"
"""Pulumi's dynamic Terraform bridge, where the AWS plugin cannot be had."""
GO = (1, 26)
"""The oldest Go that builds the above: docker-build 0.0.22 asks for it."""
