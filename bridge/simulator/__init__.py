"""A Jira for demonstration and tests."""
