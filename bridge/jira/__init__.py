"""Jira: the protocol of remote links and its client, which can be used without the bridge."""

from bridge.errors import (
    JiraAnswerLost,
    JiraBadRequest,
    JiraError,
    JiraForbidden,
    JiraForeignAnswer,
    JiraLoginDenied,
    JiraNotFound,
    JiraRateLimited,
    JiraRejected,
    JiraTooManyLinks,
    JiraUnauthorized,
    JiraUnavailable,
    JiraUnreachable,
)
from bridge.jira.auth import Anonymous, Auth, Basic, Bearer, OAuth, RefreshTokens
from bridge.jira.client import JiraClient
from bridge.jira.token_file import RefreshTokenFile
from bridge.model import Bucket, Budget, Link, RemoteLink, Written

__all__ = [
    "Anonymous",
    "Auth",
    "Basic",
    "Bearer",
    "Bucket",
    "Budget",
    "JiraAnswerLost",
    "JiraBadRequest",
    "JiraClient",
    "JiraError",
    "JiraForbidden",
    "JiraForeignAnswer",
    "JiraLoginDenied",
    "JiraNotFound",
    "JiraRateLimited",
    "JiraRejected",
    "JiraTooManyLinks",
    "JiraUnauthorized",
    "JiraUnavailable",
    "JiraUnreachable",
    "Link",
    "OAuth",
    "RefreshTokenFile",
    "RefreshTokens",
    "RemoteLink",
    "Written",
]
