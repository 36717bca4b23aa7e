"""What a fact means in Jira."""
