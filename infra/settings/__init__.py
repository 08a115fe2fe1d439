"""The settings of a stack: models, checks, messages, and the only reader of `Pulumi.<stack>.yaml`."""

from infra.lib.messages import SettingsError
from infra.settings.loading import load, load_file
from infra.settings.models import Settings

__all__ = ["Settings", "SettingsError", "load", "load_file"]
