"""The ledger in SQL: the only package that knows SQLAlchemy."""
