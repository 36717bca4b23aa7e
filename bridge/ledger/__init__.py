"""Where rows, positions and the journal stand; one file a database."""
