"""`make dev`: the product on this machine without a cloud."""
