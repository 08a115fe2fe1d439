"""What runs inside the images: the API, the worker, and the migrations of their database."""
