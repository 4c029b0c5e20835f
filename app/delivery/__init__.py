"""What a webhook is made of, and how it travels: event, signature, schedule, connection."""
