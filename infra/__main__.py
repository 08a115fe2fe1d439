"""The entry point that Pulumi runs: the settings first, then the program."""

import os
import sys
from pathlib import Path

# Pulumi runs this file by its path, which puts its own folder on the module path and not the repository.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pulumi
from pulumi.runtime import config as pulumi_config

from infra import ROOT
from infra.lib.errors import InputError
from infra.settings import Settings, load


def main() -> None:
    """Load the settings, or say in a sentence a problem what is wrong with them; then deploy."""
    try:
        settings = stack_settings()
        # Only now: the SDK for AWS takes most of a second, which the word that a setting is wrong need not wait for.
        from infra.program import deploy

        deploy(settings)
    except InputError as error:
        raise pulumi.RunError(str(error)) from None


def stack_settings() -> Settings:
    """The settings of the stack that runs. Raises SettingsError."""
    values = {key: str(value) for key, value in pulumi_config.CONFIG.get().items()}
    secret_keys = [key for key in values if pulumi.runtime.is_config_secret(key)]
    return load(pulumi.get_project(), pulumi.get_stack(), values, ROOT, secret_keys, environment=os.environ)


main()
