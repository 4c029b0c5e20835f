"""Who calls: credentials of the tenant directory, each leading to exactly one tenant."""
