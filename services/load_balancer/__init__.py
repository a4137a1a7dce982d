"""A load balancer with consistent hashing: an asyncio data plane and a Flask admin API."""
