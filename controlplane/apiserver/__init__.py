"""A Kubernetes API over HTTPS on loopback, for the kinds a migration touches."""
