"""The steps that bring a PostgreSQL ledger to the present format, one file a step, in Alembic's form."""
