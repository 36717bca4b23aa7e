"""Jira: the protocol of remote links, and its client."""
