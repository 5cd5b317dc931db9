"""What the API refuses, as Kubernetes says it."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A refused request: HTTP `code`, Kubernetes `reason`, one-sentence `message`, optional `details` of the Status object."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}

    def status(self) -> dict[str, Any]:
        """The metav1.Status object that a client receives."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details:
            body["details"] = self.details
        return body


class NotFound(ApiError):
    def __init__(self, resource: str, name: str, group: str = "") -> None:
        qualified = f"{resource}.{group}" if group else resource
        details = {"name": name, "kind": resource, **({"group": group} if group else {})}
        super().__init__(404, "NotFound", f'{qualified} "{name}" not found', details)


class Conflict(ApiError):
    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(409, "Conflict", message, details)
