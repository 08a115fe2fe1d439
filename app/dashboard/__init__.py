"""What an operator looks at: jobs, queue, workers, release and failures on one page, rendered here."""
