"""Rows in: formats, filters, duplicates, masks, packing. No torch."""
