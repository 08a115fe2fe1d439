"""The operators' dashboard: jobs, queue, workers, release and failures on one page, rendered here."""
