"""One exception per error of the API; bodies as in CONTRACT.md, section 1.5."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An error response.

    ``developer_message`` is null for authentication errors and empty otherwise, as recorded.
    """

    code = 500
    user_message = "There was a server error in the local dbt Cloud. See its log for details."
    developer_message: str | None = ""

    def __init__(self, user_message: str | None = None, data: Any = None) -> None:
        self.user_message = user_message or self.user_message
        self.data = data
        super().__init__(self.user_message)


class InvalidRequestError(ApiError):
    """``data`` maps each invalid field to a message, as nested dictionaries."""

    code = 400
    user_message = "The request was invalid. Please double check the provided data and try again."


class InvalidTokenError(ApiError):
    code = 401
    user_message = "Invalid token."
    developer_message = None


class AccessDeniedError(ApiError):
    """dbt Cloud returns 403 for another account's id, never 404."""

    code = 403
    user_message = "Access denied: Token is not scoped to account."
    developer_message = None


class PermissionDeniedError(ApiError):
    """The service token's permission sets do not allow the call."""

    code = 403
    user_message = "You do not have permission to perform this action."
    developer_message = None


class NotFoundError(ApiError):
    code = 404
    user_message = (
        "The requested resource was not found. Please check that you have the proper permissions."
    )


class MethodNotAllowedError(ApiError):
    code = 405
    user_message = "This URL does not support that method."


class TooManyRequestsError(ApiError):
    code = 429
    user_message = "Too many requests. Try again after the seconds in the Retry-After header."


class NotImplementedHereError(ApiError):
    code = 501

    def __init__(self, method: str, path: str) -> None:
        super().__init__(
            f"The local dbt Cloud does not have {method} {path}. Its README.md lists its endpoints."
        )
