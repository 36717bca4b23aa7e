"""What an operator can see."""
