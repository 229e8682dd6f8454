"""The service over HTTP: calls as JSON, metrics, health, and a page that shows how it does."""
