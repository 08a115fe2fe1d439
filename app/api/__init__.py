"""The API's image: several services in one, chosen by SERVICE_TYPE."""
