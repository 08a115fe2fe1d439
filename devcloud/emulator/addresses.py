"""Addresses to listen on, as command-line arguments, and of images."""

import argparse

PULL_THROUGH = "ecr-public/docker/"
"""The prefix of what a pull-through cache of ECR has from public.ecr.aws: Docker's official images, `library/...`."""


def address(text: str) -> tuple[str, int]:
    """`HOST:PORT` as its two parts."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, e.g. 127.0.0.1:4566")
    return host, int(port)
