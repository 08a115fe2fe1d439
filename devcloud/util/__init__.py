"""What every package uses: the console, processes, locks, files."""
