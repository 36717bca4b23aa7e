"""jira-link-bridge: keeps a remote link on every Jira issue that something elsewhere concerns."""

from importlib.metadata import version

__version__ = version("jira-link-bridge")
