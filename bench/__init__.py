"""Side-by-side measurements, one command each. They print figures; nothing here passes or fails."""
