"""Pure functions that know nothing of this product: no Pulumi, no settings."""
