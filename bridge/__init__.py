"""jira-link-bridge: keeps a remote link on every Jira issue that something elsewhere concerns."""
