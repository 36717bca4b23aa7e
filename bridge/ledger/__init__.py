"""Where rows, positions and the journal stand; one file a database, chosen by the URL's scheme."""
