"""What the API and the worker share: the job message, the tables, logs, and settings from the environment."""
