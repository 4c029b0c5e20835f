"""One module per revision; app/store/schema.py says what their names mean."""
