"""The ground a tenant stands on: namespaces, accounts, quota, queues, policies, directory, delivery."""
