"""Who speaks to us: one file a vendor, found by its place in this package."""
