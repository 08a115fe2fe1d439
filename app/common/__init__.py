"""Code that the services share: tables, jobs, sessions, the HTTP frame, logs, and settings from the environment."""
