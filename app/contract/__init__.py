"""What other packages may know of the services: jobs, model records, the tenant directory, money, internal names."""
