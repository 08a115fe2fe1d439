"""The programs and units of the host image. They run on the host alone; tests look at them here."""
