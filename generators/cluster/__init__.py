"""What all tenants share: queues, services, policies of the platform, Argo CD projects."""
