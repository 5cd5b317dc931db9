"""The embedded control plane: the API and the workflow steps of MTV on one machine."""
