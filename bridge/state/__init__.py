"""The heart: what is wanted, what to do next, what an answer means. Pure functions."""
