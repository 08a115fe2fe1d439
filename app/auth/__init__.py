"""Accounts: sign-up, sign-in, sign-out. The only service that sees a password."""
