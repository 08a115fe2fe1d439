"""The API: lab panels, reports, jobs and trends, each for its owner or an operator."""
