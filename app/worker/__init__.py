"""The worker: takes jobs from the queue and categorises lab tests with the model that is inside its image."""
