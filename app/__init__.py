"""The code inside the images: the HTTP services, the worker, and the migrations of their database."""
