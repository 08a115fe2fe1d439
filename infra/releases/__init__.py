"""What runs: the release document, the release file, and promotion from stack to stack."""
