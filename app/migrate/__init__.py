"""The one-shot that brings the database to the schema of this image; the steps are in app/migrations."""
