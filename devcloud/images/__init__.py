"""Build, explain and export images."""
