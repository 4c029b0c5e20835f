"""From the API to the dispatcher: what an acknowledged message is, and who keeps it."""
