"""From settings to content tags: what each image is built from, known before anything is built."""
