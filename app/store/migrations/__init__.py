"""How a store came to its tables: alembic's scripts, run by app/store/schema.py."""
